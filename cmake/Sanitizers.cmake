# Sanitizers for our own code, as the presets `asan` and `tsan` use them; TensorFlow's wheel is not instrumented.

set(SAVEDMODEL_SANITIZER "" CACHE STRING "'address' (and undefined behaviour), 'thread' or nothing")

if(SAVEDMODEL_SANITIZER)
  # Without vptr, whose typeinfo TensorFlow hides, and the checks for null, with which GCC rejects absl's constexpr.
  set(flags_address
      -fsanitize=address,shift,integer-divide-by-zero,unreachable,vla-bound,return,signed-integer-overflow,bounds
      -fsanitize=alignment,object-size,float-cast-overflow,bool,enum,builtin,pointer-overflow)
  set(flags_thread -fsanitize=thread -Wno-tsan)
  set(flags "${flags_${SAVEDMODEL_SANITIZER}}")
  if(NOT flags)
    message(FATAL_ERROR "SAVEDMODEL_SANITIZER is '${SAVEDMODEL_SANITIZER}'; it may be 'address' or 'thread'")
  elseif(NOT CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
    message(FATAL_ERROR "SAVEDMODEL_SANITIZER needs GCC: of Clang, absl and protobuf can't be told that there is none")
  endif()
  add_compile_options(${flags} -O1 -g1 -fno-omit-frame-pointer)
  add_link_options(${flags})
  # With a sanitizer, absl's tables and protobuf's messages have members that TensorFlow's have not.
  add_compile_options(-U__SANITIZE_ADDRESS__ -U__SANITIZE_THREAD__)
  string(TOUPPER "${SAVEDMODEL_SANITIZER}" name)
  add_compile_definitions(SAVEDMODEL_SANITIZE_${name}) # for what a test can't do then
endif()
