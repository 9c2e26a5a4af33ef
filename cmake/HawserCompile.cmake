# How everything here is compiled: standard, warnings, sanitizers, visibility, ccache.

if(HAWSER_TOP_LEVEL)
  if(NOT CMAKE_BUILD_TYPE AND NOT CMAKE_CONFIGURATION_TYPES)
    set(CMAKE_BUILD_TYPE Release CACHE STRING "Build type" FORCE)
  endif()
  set(CMAKE_RUNTIME_OUTPUT_DIRECTORY ${PROJECT_BINARY_DIR}/bin)
  set(CMAKE_LIBRARY_OUTPUT_DIRECTORY ${PROJECT_BINARY_DIR}/lib)
  set(CMAKE_ARCHIVE_OUTPUT_DIRECTORY ${PROJECT_BINARY_DIR}/lib)
  set(CMAKE_EXPORT_COMPILE_COMMANDS ON)
  find_program(HAWSER_CCACHE ccache)
  mark_as_advanced(HAWSER_CCACHE)
  if(HAWSER_CCACHE)
    foreach(language C CXX)
      if(NOT CMAKE_${language}_COMPILER_LAUNCHER)
        # Paths relative to the build folder, so that what one build compiled is of use to another one: the Python
        # package's to that of the tests.
        set(CMAKE_${language}_COMPILER_LAUNCHER ${CMAKE_COMMAND} -E env CCACHE_BASEDIR=${PROJECT_SOURCE_DIR} ${HAWSER_CCACHE})
      endif()
    endforeach()
  endif()
endif()

set(CMAKE_CXX_STANDARD 20)
set(CMAKE_CXX_STANDARD_REQUIRED ON)
set(CMAKE_CXX_EXTENSIONS OFF)
set(CMAKE_C_STANDARD 99)
set(CMAKE_C_STANDARD_REQUIRED ON)
set(CMAKE_C_EXTENSIONS OFF)

# Every folder of src/ ends up inside one shared library that shows HAWSER_API symbols only.
set(CMAKE_POSITION_INDEPENDENT_CODE ON)
set(CMAKE_C_VISIBILITY_PRESET hidden)
set(CMAKE_CXX_VISIBILITY_PRESET hidden)
set(CMAKE_VISIBILITY_INLINES_HIDDEN ON)

# What each of our targets links: warnings and sanitizers. Never exported.
add_library(hawser_compile INTERFACE)
target_compile_options(
  hawser_compile
  INTERFACE $<$<COMPILE_LANGUAGE:C,CXX>:-Wall;-Wextra;-Wpedantic;-Wshadow;-Wconversion;-Wno-sign-conversion>
            # Designated initializers that leave fields at their defaults are the house's way to pass arguments.
            $<$<COMPILE_LANGUAGE:CXX>:-Wno-missing-field-initializers;-Wnon-virtual-dtor;-Woverloaded-virtual>)
if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU" AND CMAKE_CXX_COMPILER_VERSION VERSION_LESS 13)
  # GCC 12 sees overlaps in std::string's operator+ (its bug 105651), and uninitialized members in strings
  # inside variants and designated initializers, that are not there.
  target_compile_options(hawser_compile INTERFACE $<$<COMPILE_LANGUAGE:CXX>:-Wno-restrict;-Wno-maybe-uninitialized>)
endif()
if(HAWSER_WERROR)
  target_compile_options(hawser_compile INTERFACE $<$<COMPILE_LANGUAGE:C,CXX>:-Werror>)
endif()

if(HAWSER_SANITIZE)
  set(sanitize_flags -fsanitize=${HAWSER_SANITIZE} -fno-sanitize-recover=all -fno-omit-frame-pointer)
  target_compile_options(hawser_compile INTERFACE $<$<COMPILE_LANGUAGE:C,CXX>:${sanitize_flags}>)
  target_link_options(hawser_compile INTERFACE ${sanitize_flags})
  if(HAWSER_SANITIZE MATCHES "thread" AND CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
    # Asio's fences are always beside the lock that the sanitizer does see.
    target_compile_options(hawser_compile INTERFACE $<$<COMPILE_LANGUAGE:CXX>:-Wno-tsan>)
  endif()
endif()

if(HAWSER_FUZZ)
  if(NOT CMAKE_CXX_COMPILER_ID MATCHES "Clang")
    message(FATAL_ERROR "HAWSER_FUZZ needs clang: use the preset 'fuzz' or -DCMAKE_CXX_COMPILER=clang++")
  endif()
  target_compile_options(hawser_compile INTERFACE $<$<COMPILE_LANGUAGE:C,CXX>:-fsanitize=fuzzer-no-link>)
endif()
