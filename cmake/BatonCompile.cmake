# How every target of this tree is compiled: language, warnings, sanitizers, where binaries land.
set(CMAKE_CXX_STANDARD 20)
set(CMAKE_CXX_STANDARD_REQUIRED ON)
set(CMAKE_CXX_EXTENSIONS OFF)
set(CMAKE_POSITION_INDEPENDENT_CODE ON)
set(CMAKE_EXPORT_COMPILE_COMMANDS ON)
set(CMAKE_RUNTIME_OUTPUT_DIRECTORY "${CMAKE_BINARY_DIR}/bin")

if(NOT CMAKE_BUILD_TYPE AND NOT CMAKE_CONFIGURATION_TYPES)
  set(CMAKE_BUILD_TYPE RelWithDebInfo CACHE STRING "Build type" FORCE)
endif()

# Line tables and back traces, no variables: a third less time to compile than -g. Debug has everything.
set(CMAKE_CXX_FLAGS_RELWITHDEBINFO "-O2 -g1 -DNDEBUG")

# ccache, where there is one. To keep what is compiled with a precompiled header it must not mind macros that the header
# hides from it (it compares the header's bytes anyhow; __TIME__ is not used here), nor that CMake wrote the list of
# headers a moment ago: the header would be made anew, never has the same bytes twice, and nothing would be found.
find_program(BATON_CCACHE ccache)
if(BATON_CCACHE AND (NOT CMAKE_CXX_COMPILER_LAUNCHER OR CMAKE_CXX_COMPILER_LAUNCHER MATCHES "(^|/)ccache$"))
  set(sloppiness pch_defines time_macros include_file_mtime include_file_ctime $ENV{CCACHE_SLOPPINESS})
  list(JOIN sloppiness "," sloppiness)
  set(CMAKE_CXX_COMPILER_LAUNCHER
    "${CMAKE_COMMAND}" -E env "CCACHE_SLOPPINESS=${sloppiness}" "${BATON_CCACHE}")
endif()

add_compile_options(-Wall -Wextra -Wpedantic -Wno-missing-field-initializers)
if(CMAKE_CXX_COMPILER_ID MATCHES "Clang")
  add_compile_options(-Wthread-safety)
endif()
if(BATON_WERROR)
  add_compile_options(-Werror)
endif()
if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
  # g++ collects garbage from 512 MiB on, not from 128 MiB: an eighth less time to compile, for a fourth more memory
  # (0.7 GiB at most).
  add_compile_options(--param=ggc-min-heapsize=524288)
endif()
# Includes are written from the project root: #include "base/ids.h".
include_directories("${PROJECT_SOURCE_DIR}")

# Only what batond is made of (storage/, server/): the client library is installed, and must be linkable by any compiler.
if(BATON_LTO AND NOT CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
  message(WARNING "BATON_LTO is for GCC, and is ignored for ${CMAKE_CXX_COMPILER_ID} (-DBATON_LTO=OFF says so)")
  set(BATON_LTO OFF)
endif()

if(BATON_SANITIZE)
  if(NOT BATON_SANITIZE MATCHES "^(address,undefined|thread)$")
    message(FATAL_ERROR "BATON_SANITIZE is \"${BATON_SANITIZE}\"; expected \"address,undefined\" or \"thread\"")
  endif()
  if(BATON_SANITIZE STREQUAL "thread" AND BATON_WITH_GRPC)
    message(FATAL_ERROR "ThreadSanitizer reports falsely on a gRPC that is not instrumented: "
                        "add -DBATON_WITH_GRPC=OFF (preset tsan does)")
  endif()
  add_compile_options(-fsanitize=${BATON_SANITIZE} -fno-omit-frame-pointer)
  add_link_options(-fsanitize=${BATON_SANITIZE})
  if(BATON_SANITIZE MATCHES "undefined")
    add_compile_options(-fno-sanitize-recover=undefined)
  endif()
  if(BATON_SANITIZE STREQUAL "thread" AND CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
    # g++ warns about every std::atomic_thread_fence under TSan.
    add_compile_options(-Wno-tsan)
  endif()
endif()

# baton_library(name source...): a static library of ours; one a folder. baton_program(name source...): an executable.
#
# Nearly all of the time to compile a file goes into reading headers (gRPC, protobuf, Abseil, the standard library), so
# the files of a folder are compiled several at a time. BATON_UNITY=OFF, preset `files`, compiles each by itself: it shows
# that every file includes what it needs, and is what editors and clang-tidy want.
function(baton_compile_together target)
  set_target_properties(${target} PROPERTIES UNITY_BUILD ${BATON_UNITY} UNITY_BUILD_BATCH_SIZE 10)
endfunction()

function(baton_library name)
  add_library(${name} STATIC ${ARGN})
  baton_compile_together(${name})
endfunction()

function(baton_program name)
  add_executable(${name} ${ARGN})
  baton_compile_together(${name})
endfunction()
