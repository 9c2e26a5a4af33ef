# hawser_unite(TARGET [APART file...]): its files are compiled several at once, unless HAWSER_UNITY is OFF. Such a unit
# reads its headers and instantiates its templates once, so that a whole build takes less than half the time, and one edit
# a little longer. Whether each file includes what it needs only shows without (preset `dev`). No two files may define
# the same name inside (tests/layering/check_unit_names.py), except those that stand APART and are compiled alone.
function(hawser_unite target)
  cmake_parse_arguments(PARSE_ARGV 1 arg "" "" "APART")
  # CMake before 4.0 knows absolute paths only.
  set_target_properties(${target} PROPERTIES UNITY_BUILD ${HAWSER_UNITY} UNITY_BUILD_RELOCATABLE ON)
  set_source_files_properties(${arg_APART} PROPERTIES SKIP_UNITY_BUILD_INCLUSION ON)
  get_target_property(sources ${target} SOURCES)
  list(FILTER sources INCLUDE REGEX "\\.cpp$")
  set(united ${target})
  foreach(source IN LISTS sources)
    get_source_file_property(apart ${source} SKIP_UNITY_BUILD_INCLUSION)
    if(NOT apart)
      get_filename_component(source ${source} ABSOLUTE)
      list(APPEND united ${source})
    endif()
  endforeach()
  list(JOIN united " " united)
  set_property(GLOBAL APPEND PROPERTY HAWSER_UNITED ${united})
endfunction()

# hawser_cold(TARGET): a program around the library. Its own code need not be fast, and is compiled sooner.
function(hawser_cold target)
  target_compile_options(${target} PRIVATE $<$<AND:$<CONFIG:Release,RelWithDebInfo>,$<COMPILE_LANGUAGE:CXX>>:-O1>)
endfunction()

# hawser_add_folder(NAME [PUBLIC lib...] [PRIVATE lib...] [APART file...]): the folder's *.cpp as one static library.
# APART: these files, or "all", are compiled alone.
# A folder that holds headers only becomes an interface library with the same public links.
function(hawser_add_folder name)
  cmake_parse_arguments(PARSE_ARGV 1 arg "" "" "APART;PUBLIC;PRIVATE;SOURCES")
  file(GLOB sources CONFIGURE_DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/*.cpp)
  list(APPEND sources ${arg_SOURCES})
  if(sources)
    add_library(${name} STATIC ${sources})
    target_include_directories(${name} PUBLIC ${PROJECT_SOURCE_DIR}/src)
    target_link_libraries(${name} PUBLIC ${arg_PUBLIC} PRIVATE hawser_compile ${arg_PRIVATE})
    if(NOT arg_APART STREQUAL "all")
      hawser_unite(${name} APART ${arg_APART})
    endif()
  else()
    add_library(${name} INTERFACE)
    target_include_directories(${name} INTERFACE ${PROJECT_SOURCE_DIR}/src)
    target_link_libraries(${name} INTERFACE ${arg_PUBLIC})
  endif()
endfunction()
