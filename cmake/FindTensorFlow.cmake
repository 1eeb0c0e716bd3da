# Finds the TensorFlow wheel (`tensorflow` or `tensorflow-cpu`) without importing it.
#
# Looked at in this order: TensorFlow_DIR / SAVEDMODEL_TENSORFLOW_DIR (the wheel's `tensorflow` folder), what
# Python's import system names, the site directories of the Python that builds (which an isolated build hides).
#
# Defines TensorFlow::framework, TensorFlow::cc, TensorFlow_VERSION and TensorFlow_LOCATION.

if(NOT TensorFlow_LOCATION)
  foreach(candidate "${SAVEDMODEL_TENSORFLOW_DIR}" "$ENV{SAVEDMODEL_TENSORFLOW_DIR}")
    if(candidate AND EXISTS "${candidate}/libtensorflow_framework.so.2")
      set(TensorFlow_LOCATION "${candidate}")
      break()
    endif()
  endforeach()
endif()

if(NOT TensorFlow_LOCATION)
  find_package(Python COMPONENTS Interpreter REQUIRED)
  execute_process(
    COMMAND
      "${Python_EXECUTABLE}" -c
      "
import importlib.util, os, sysconfig
spec = importlib.util.find_spec('tensorflow')
places = list(spec.submodule_search_locations or []) if spec else []
places += [os.path.join(sysconfig.get_path(k), 'tensorflow') for k in ('platlib', 'purelib')]
places = [p for p in places if os.path.exists(os.path.join(p, 'libtensorflow_framework.so.2'))]
print(places[0] if places else '', end='')
"
    OUTPUT_VARIABLE TensorFlow_LOCATION
    COMMAND_ERROR_IS_FATAL ANY)
endif()

set(TensorFlow_VERSION "")
if(TensorFlow_LOCATION)
  # The headers carry no version; the distribution's metadata does.
  file(GLOB metadata "${TensorFlow_LOCATION}/../tensorflow-*.dist-info" "${TensorFlow_LOCATION}/../tensorflow_*-*.dist-info")
  foreach(directory IN LISTS metadata)
    if(directory MATCHES "/tensorflow(_cpu|_gpu|_rocm)?-([0-9]+\\.[0-9]+[^-/]*)\\.dist-info$")
      set(TensorFlow_VERSION "${CMAKE_MATCH_2}")
    endif()
  endforeach()
endif()

if(TensorFlow_FIND_VERSION)
  set(_wanted "${TensorFlow_FIND_VERSION_MAJOR}.${TensorFlow_FIND_VERSION_MINOR}")
  set(_mend "install it with: pip install 'tensorflow==${_wanted}.*'")
  if(NOT TensorFlow_LOCATION)
    message(FATAL_ERROR "savedmodel needs TensorFlow ${_wanted}, and none was found; ${_mend}")
  elseif(NOT TensorFlow_VERSION MATCHES "^${TensorFlow_FIND_VERSION_MAJOR}\\.${TensorFlow_FIND_VERSION_MINOR}(\\.|$)")
    message(FATAL_ERROR "savedmodel needs TensorFlow ${_wanted}, and found '${TensorFlow_VERSION}' in "
                        "${TensorFlow_LOCATION}; ${_mend}")
  endif()
endif()

include(FindPackageHandleStandardArgs)
find_package_handle_standard_args(TensorFlow REQUIRED_VARS TensorFlow_LOCATION VERSION_VAR TensorFlow_VERSION)

if(TensorFlow_FOUND AND NOT TARGET TensorFlow::framework)
  add_library(TensorFlow::framework SHARED IMPORTED)
  set_target_properties(
    TensorFlow::framework
    PROPERTIES IMPORTED_LOCATION "${TensorFlow_LOCATION}/libtensorflow_framework.so.2"
               INTERFACE_SYSTEM_INCLUDE_DIRECTORIES "${TensorFlow_LOCATION}/include"
               INTERFACE_INCLUDE_DIRECTORIES "${TensorFlow_LOCATION}/include"
               INTERFACE_COMPILE_DEFINITIONS "_GLIBCXX_USE_CXX11_ABI=1;EIGEN_MAX_ALIGN_BYTES=64"
               INTERFACE_COMPILE_FEATURES cxx_std_17)
  # The kernels and DirectSession: nothing refers to them, so the linker must be told to keep it.
  add_library(TensorFlow::cc INTERFACE IMPORTED)
  set_target_properties(
    TensorFlow::cc PROPERTIES INTERFACE_LINK_LIBRARIES
                              "TensorFlow::framework;-Wl,--no-as-needed,${TensorFlow_LOCATION}/libtensorflow_cc.so.2")
endif()
