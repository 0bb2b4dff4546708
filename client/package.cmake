# What `cmake --install` gives to outside projects: the headers, one archive with everything of ours that a client needs, and
# a CMake package.
#
#   find_package(baton CONFIG REQUIRED)
#   target_link_libraries(program PRIVATE baton::client)
include(CMakePackageConfigHelpers)

add_library(baton_client_package STATIC
  $<TARGET_OBJECTS:baton_base>
  $<TARGET_OBJECTS:baton_local>
  $<TARGET_OBJECTS:baton_proto>
  $<TARGET_OBJECTS:baton_grpc_stubs>
  $<TARGET_OBJECTS:baton_client_transport>
  $<TARGET_OBJECTS:baton_client_session>
  $<TARGET_OBJECTS:baton_client>)
set_target_properties(baton_client_package PROPERTIES
  EXPORT_NAME client
  OUTPUT_NAME baton_client
  LINKER_LANGUAGE CXX
  ARCHIVE_OUTPUT_DIRECTORY ${CMAKE_CURRENT_BINARY_DIR}/package)
target_compile_features(baton_client_package PUBLIC cxx_std_20)
target_link_libraries(baton_client_package
  PUBLIC absl::status absl::statusor absl::any_invocable
  PRIVATE absl::strings absl::hash absl::flat_hash_map protobuf::libprotobuf gRPC::grpc++ fmt::fmt Threads::Threads)

set(package_dir ${CMAKE_INSTALL_LIBDIR}/cmake/baton)
install(TARGETS baton_client_package EXPORT baton_targets
  ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR}
  INCLUDES DESTINATION ${CMAKE_INSTALL_INCLUDEDIR})
install(DIRECTORY include/baton DESTINATION ${CMAKE_INSTALL_INCLUDEDIR} FILES_MATCHING PATTERN "*.h")
install(EXPORT baton_targets FILE baton-targets.cmake NAMESPACE baton:: DESTINATION ${package_dir})
configure_package_config_file(baton-config.cmake.in ${CMAKE_CURRENT_BINARY_DIR}/baton-config.cmake
  INSTALL_DESTINATION ${package_dir})
write_basic_package_version_file(${CMAKE_CURRENT_BINARY_DIR}/baton-config-version.cmake
  VERSION ${PROJECT_VERSION}
  COMPATIBILITY SameMinorVersion)
install(FILES ${CMAKE_CURRENT_BINARY_DIR}/baton-config.cmake ${CMAKE_CURRENT_BINARY_DIR}/baton-config-version.cmake
  DESTINATION ${package_dir})
