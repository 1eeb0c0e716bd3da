# SAVEDMODEL_VERSION, from the public header.
set(_header "${CMAKE_CURRENT_LIST_DIR}/../cpp/include/savedmodel/version.h")
set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS "${_header}")
file(STRINGS "${_header}" _lines REGEX "^#define SAVEDMODEL_VERSION_(MAJOR|MINOR|PATCH) [0-9]+$")
string(REGEX REPLACE "[^0-9;]" "" _numbers "${_lines}")
string(REPLACE ";" "." SAVEDMODEL_VERSION "${_numbers}")
