# The library for others: headers, loss::loss for find_package(loss), loss.pc for pkg-config.
include(CMakePackageConfigHelpers)

install(TARGETS loss EXPORT lossTargets ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR}
        LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR})
install(DIRECTORY include/loss DESTINATION ${CMAKE_INSTALL_INCLUDEDIR} FILES_MATCHING PATTERN "*.h")

set(loss_package_dir ${CMAKE_INSTALL_LIBDIR}/cmake/loss)
install(EXPORT lossTargets NAMESPACE loss:: DESTINATION ${loss_package_dir})
configure_package_config_file(cmake/lossConfig.cmake.in ${PROJECT_BINARY_DIR}/package/lossConfig.cmake
                              INSTALL_DESTINATION ${loss_package_dir})
write_basic_package_version_file(${PROJECT_BINARY_DIR}/package/lossConfigVersion.cmake
                                 COMPATIBILITY SameMinorVersion)
install(FILES ${PROJECT_BINARY_DIR}/package/lossConfig.cmake ${PROJECT_BINARY_DIR}/package/lossConfigVersion.cmake
        DESTINATION ${loss_package_dir})

# From where loss.pc lies up to the prefix, so that the installed tree can be moved.
file(RELATIVE_PATH loss_pc_up "/${CMAKE_INSTALL_LIBDIR}/pkgconfig" "/")
configure_file(cmake/loss.pc.in ${PROJECT_BINARY_DIR}/package/loss.pc @ONLY)
install(FILES ${PROJECT_BINARY_DIR}/package/loss.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig)
install(FILES LICENSE DESTINATION ${CMAKE_INSTALL_DOCDIR})
