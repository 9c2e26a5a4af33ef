# hawser_unite(TARGET): its files are compiled several at once, unless HAWSER_UNITY is OFF. Such a unit reads its headers
# and instantiates its templates once, so that a whole build takes less than half the time, and one edit a little longer.
# Whether each file includes what it needs only shows without (preset `dev`). tests/layering/check_unit_names.py sees to
# it that no two files of a united folder define the same name inside.
function(hawser_unite target)
  set_target_properties(${target} PROPERTIES UNITY_BUILD ${HAWSER_UNITY})
endfunction()

# hawser_add_folder(NAME [PUBLIC lib...] [PRIVATE lib...] [APART]): the folder's *.cpp as one static library.
# APART: each file is compiled alone.
# A folder that holds headers only becomes an interface library with the same public links.
function(hawser_add_folder name)
  cmake_parse_arguments(PARSE_ARGV 1 arg "APART" "" "PUBLIC;PRIVATE;SOURCES")
  file(GLOB sources CONFIGURE_DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/*.cpp)
  list(APPEND sources ${arg_SOURCES})
  if(sources)
    add_library(${name} STATIC ${sources})
    target_include_directories(${name} PUBLIC ${PROJECT_SOURCE_DIR}/src)
    target_link_libraries(${name} PUBLIC ${arg_PUBLIC} PRIVATE hawser_compile ${arg_PRIVATE})
    if(NOT arg_APART)
      hawser_unite(${name})
    endif()
  else()
    add_library(${name} INTERFACE)
    target_include_directories(${name} INTERFACE ${PROJECT_SOURCE_DIR}/src)
    target_link_libraries(${name} INTERFACE ${arg_PUBLIC})
  endif()
endfunction()
