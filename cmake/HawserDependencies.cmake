# All outside libraries, found once. Nothing is downloaded. tools/install_deps.sh lists the packages.

find_package(Threads REQUIRED)
find_package(PkgConfig REQUIRED)

# Protobuf before 3.22 has CMake's own find module; newer ones bring a config of their own.
find_package(Protobuf CONFIG QUIET)
if(NOT TARGET protobuf::libprotobuf-lite)
  find_package(Protobuf MODULE REQUIRED)
endif()

pkg_check_modules(zstd REQUIRED IMPORTED_TARGET GLOBAL libzstd)
pkg_check_modules(xxhash REQUIRED IMPORTED_TARGET GLOBAL libxxhash)

# 3.0: keys and derivations by name, and an end of a connection that is told from a cut.
find_package(OpenSSL 3.0 REQUIRED)

# Only its headers: a master with a lease loads libcurl when it starts (src/lease/curl_library.hpp).
if(HAWSER_LEASE)
  find_path(HAWSER_CURL_INCLUDE_DIR curl/curl.h PATH_SUFFIXES ${CMAKE_LIBRARY_ARCHITECTURE})
  if(NOT HAWSER_CURL_INCLUDE_DIR)
    message(FATAL_ERROR "curl/curl.h not found: install libcurl4-openssl-dev (tools/install_deps.sh), or configure "
                        "with -DHAWSER_LEASE=OFF, without hawser master --lease")
  endif()
endif()

# Standalone Asio is headers only, and Debian ships neither a config nor a .pc file with it.
find_path(HAWSER_ASIO_INCLUDE_DIR asio.hpp)
if(NOT HAWSER_ASIO_INCLUDE_DIR)
  message(FATAL_ERROR "asio.hpp not found: install libasio-dev (tools/install_deps.sh)")
endif()
add_library(hawser_asio INTERFACE)
target_include_directories(hawser_asio SYSTEM INTERFACE ${HAWSER_ASIO_INCLUDE_DIR})
# Without the last one Asio 1.22 chooses between two allocators by which standard header came before it, so
# that translation units of one program could disagree.
target_compile_definitions(hawser_asio INTERFACE ASIO_STANDALONE ASIO_NO_DEPRECATED
                                                 ASIO_DISABLE_STD_ALIGNED_ALLOC)
target_link_libraries(hawser_asio INTERFACE Threads::Threads)

if(HAWSER_TOOLS OR HAWSER_STRESS)
  find_package(CLI11 REQUIRED)
endif()
# Of hawser dashboard alone.
if(HAWSER_TOOLS AND HAWSER_HTTP)
  pkg_check_modules(httplib REQUIRED IMPORTED_TARGET GLOBAL cpp-httplib)
endif()
if(HAWSER_STRESS)
  pkg_check_modules(libuv REQUIRED IMPORTED_TARGET GLOBAL libuv)
endif()
if(HAWSER_TESTS)
  # Version 2 on Debian 12, version 3 on newer systems.
  find_package(Catch2 REQUIRED)
  find_package(Python3 REQUIRED COMPONENTS Interpreter)
endif()
