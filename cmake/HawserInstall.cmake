# install(): the library, the headers of its two faces, a CMake package and a pkg-config file.
include(CMakePackageConfigHelpers)

set(package_dir ${CMAKE_INSTALL_LIBDIR}/cmake/hawser)

install(
  TARGETS hawser pccl_compat
  EXPORT hawser_targets
  LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR}
  ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR}
  RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR})
install(FILES ${PROJECT_SOURCE_DIR}/capi/include/hawser.h ${PROJECT_SOURCE_DIR}/capi/include/hawser_shared_state.h
              ${PROJECT_SOURCE_DIR}/capi/include/hawser_optim.h ${PROJECT_SOURCE_DIR}/capi/include/hawser_status.h
              ${PROJECT_SOURCE_DIR}/capi/include/hawser_sim_device.h ${PROJECT_SOURCE_DIR}/capi/include/hawser_keys.h
              ${PROJECT_SOURCE_DIR}/capi/include/pccl_compat.h
        DESTINATION ${CMAKE_INSTALL_INCLUDEDIR})
install(
  DIRECTORY ${PROJECT_SOURCE_DIR}/include/hawser
  DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}
  FILES_MATCHING PATTERN "*.hpp")
# In folders of their own, so that they are found only by programs that name these: the headers and the library under
# the names that PCCL has for them.
install(DIRECTORY ${PROJECT_SOURCE_DIR}/capi/include/pccl DESTINATION ${CMAKE_INSTALL_INCLUDEDIR})
install(CODE "set(pccl_libdir \"\$ENV{DESTDIR}\${CMAKE_INSTALL_PREFIX}/${CMAKE_INSTALL_LIBDIR}/pccl\")
file(MAKE_DIRECTORY \"\${pccl_libdir}\")
file(CREATE_LINK ../$<TARGET_LINKER_FILE_NAME:pccl_compat>
     \"\${pccl_libdir}/libpccl$<TARGET_FILE_SUFFIX:pccl_compat>\" SYMBOLIC)")
install(
  EXPORT hawser_targets
  NAMESPACE hawser::
  DESTINATION ${package_dir})

configure_package_config_file(${PROJECT_SOURCE_DIR}/cmake/hawserConfig.cmake.in
                              ${PROJECT_BINARY_DIR}/hawserConfig.cmake INSTALL_DESTINATION ${package_dir})
write_basic_package_version_file(${PROJECT_BINARY_DIR}/hawserConfigVersion.cmake COMPATIBILITY SameMinorVersion)
install(FILES ${PROJECT_BINARY_DIR}/hawserConfig.cmake ${PROJECT_BINARY_DIR}/hawserConfigVersion.cmake
        DESTINATION ${package_dir})

# pkg-config: a shared library needs nothing else on the line; a static one needs what it is made of.
set(HAWSER_PC_REQUIRES)
set(HAWSER_PC_LIBS)
if(NOT HAWSER_BUILD_SHARED)
  set(HAWSER_PC_REQUIRES "protobuf-lite libzstd libxxhash libssl libcrypto")
  set(HAWSER_PC_LIBS "-lstdc++ -lm -pthread")
endif()
# The prefix is told relative to the .pc file, so that an installed tree can be moved.
if(IS_ABSOLUTE "${CMAKE_INSTALL_LIBDIR}" OR IS_ABSOLUTE "${CMAKE_INSTALL_INCLUDEDIR}")
  set(HAWSER_PC_PREFIX "${CMAKE_INSTALL_PREFIX}")
  set(HAWSER_PC_LIBDIR "${CMAKE_INSTALL_FULL_LIBDIR}")
  set(HAWSER_PC_INCLUDEDIR "${CMAKE_INSTALL_FULL_INCLUDEDIR}")
else()
  file(RELATIVE_PATH up "/${CMAKE_INSTALL_LIBDIR}/pkgconfig" "/")
  string(REGEX REPLACE "/$" "" up "${up}")
  set(HAWSER_PC_PREFIX "\${pcfiledir}/${up}")
  set(HAWSER_PC_LIBDIR "\${prefix}/${CMAKE_INSTALL_LIBDIR}")
  set(HAWSER_PC_INCLUDEDIR "\${prefix}/${CMAKE_INSTALL_INCLUDEDIR}")
endif()
configure_file(${PROJECT_SOURCE_DIR}/cmake/hawser.pc.in ${PROJECT_BINARY_DIR}/hawser.pc @ONLY)
install(FILES ${PROJECT_BINARY_DIR}/hawser.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig)
