# Everything comes from Debian 12 packages (scripts/install_deps.sh); nothing is downloaded at configure time.
# Targets the rest of the tree links: protobuf::libprotobuf, absl::*, Boost::headers, baton::rocksdb, spdlog::spdlog, fmt::fmt,
# CLI11::CLI11, tomlplusplus::tomlplusplus, nlohmann_json::nlohmann_json, prometheus-cpp::pull, gRPC::grpc++,
# GTest::gtest, GTest::gmock_main, benchmark::benchmark.
set(THREADS_PREFER_PTHREAD_FLAG ON)
find_package(Threads REQUIRED)
find_package(Protobuf 3.21 REQUIRED)
find_package(absl CONFIG REQUIRED)
find_package(Boost 1.81 CONFIG REQUIRED)
find_package(RocksDB 7.8 CONFIG REQUIRED)
find_package(fmt CONFIG REQUIRED)
find_package(spdlog CONFIG REQUIRED)
find_package(tomlplusplus CONFIG REQUIRED)
find_package(nlohmann_json CONFIG REQUIRED)
find_package(CLI11 CONFIG REQUIRED)
find_package(prometheus-cpp CONFIG REQUIRED)
if(BATON_WITH_GRPC)
  find_package(gRPC 1.51 CONFIG REQUIRED)
endif()
if(BATON_BUILD_TESTS)
  find_package(GTest REQUIRED)
endif()
if(BATON_BUILD_BENCH)
  find_package(benchmark CONFIG REQUIRED)
endif()

# One name for RocksDB, whichever of the two libraries the package offers.
add_library(baton_rocksdb INTERFACE)
add_library(baton::rocksdb ALIAS baton_rocksdb)
if(TARGET RocksDB::rocksdb-shared)
  target_link_libraries(baton_rocksdb INTERFACE RocksDB::rocksdb-shared)
else()
  target_link_libraries(baton_rocksdb INTERFACE RocksDB::rocksdb)
endif()
