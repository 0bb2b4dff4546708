# baton_test(NAME name LABEL unit|component|crash|stress|soak SOURCES file... [LIBS target...] [TIMEOUT seconds]
#            [DEPENDS target...] [SERIAL] [GRPC])
#
# Makes a GoogleTest executable `name` in build/bin/tests, links gmock_main, and registers each of its tests with ctest
# under the label. TIMEOUT is per test case; DEPENDS are programs the test starts (batond, baton; they are in
# BATON_BIN_DIR, a string literal); SERIAL keeps other tests from running at the same time; GRPC says that the test
# links gRPC or starts a program that does: it is left out when BATON_WITH_GRPC is OFF.
include(GoogleTest)

# baton_test_code(target): `target` is code of tests only, an executable or a library of them.
#
# What tests themselves do costs no time; optimising it costs a third of compiling it. What they call is optimised.
# Reading GoogleTest, the standard library and gRPC anew for every file costs another third: one precompiled header
# serves all. It is good only for the flags and definitions it was made with, so they are the same everywhere: -fPIE, as
# executables have it, for libraries too; -pthread, as protobuf's users have it; and what those headers' libraries add.
function(baton_test_code target)
  target_compile_options(${target} PRIVATE $<$<CONFIG:RelWithDebInfo>:-O0> -fPIE -pthread)
  target_link_libraries(${target} PRIVATE GTest::gmock GTest::gtest Threads::Threads fmt::fmt)
  if(BATON_PRECOMPILE AND NOT target STREQUAL "baton_test_headers")
    target_precompile_headers(${target} REUSE_FROM baton_test_headers)
  endif()
endfunction()

function(baton_test)
  cmake_parse_arguments(PARSE_ARGV 0 arg "SERIAL;GRPC" "NAME;LABEL;TIMEOUT" "SOURCES;LIBS;DEPENDS")
  if(arg_UNPARSED_ARGUMENTS)
    message(FATAL_ERROR "baton_test(${arg_NAME}): unknown arguments ${arg_UNPARSED_ARGUMENTS}")
  endif()
  if(NOT arg_NAME OR NOT arg_SOURCES)
    message(FATAL_ERROR "baton_test needs NAME and SOURCES")
  endif()
  set(timeout_unit 30)
  set(timeout_component 60)
  set(timeout_crash 240)
  set(timeout_stress 240)
  set(timeout_soak 3600)
  if(NOT DEFINED timeout_${arg_LABEL})
    message(FATAL_ERROR "baton_test(${arg_NAME}): LABEL is \"${arg_LABEL}\"; "
                        "expected unit, component, crash, stress or soak")
  endif()
  if(NOT arg_TIMEOUT)
    set(arg_TIMEOUT ${timeout_${arg_LABEL}})
    if(BATON_SANITIZE)
      math(EXPR arg_TIMEOUT "${arg_TIMEOUT} * 5")
    endif()
  endif()

  if(arg_GRPC AND NOT BATON_WITH_GRPC)
    return()
  endif()
  add_executable(${arg_NAME} ${arg_SOURCES})
  set_target_properties(${arg_NAME} PROPERTIES RUNTIME_OUTPUT_DIRECTORY "${CMAKE_BINARY_DIR}/bin/tests")
  target_compile_definitions(${arg_NAME} PRIVATE BATON_BIN_DIR="${CMAKE_RUNTIME_OUTPUT_DIRECTORY}")
  target_link_libraries(${arg_NAME} PRIVATE ${arg_LIBS} GTest::gmock_main)
  baton_test_code(${arg_NAME})
  if(arg_DEPENDS)
    add_dependencies(${arg_NAME} ${arg_DEPENDS})
  endif()
  set(properties LABELS ${arg_LABEL} TIMEOUT ${arg_TIMEOUT})
  if(arg_SERIAL)
    list(APPEND properties RUN_SERIAL ON)
  endif()
  gtest_discover_tests(${arg_NAME}
    TEST_PREFIX "${arg_LABEL}/"
    DISCOVERY_MODE PRE_TEST
    DISCOVERY_TIMEOUT 60
    PROPERTIES ${properties})
endfunction()

# baton_script_test(NAME name LABEL label SCRIPT file.py [TIMEOUT seconds] [SERIAL] [PACKAGES] [ARGS argument...])
#
# Registers a Python 3 script as one test. PACKAGES says that it needs more than the standard library: what
# scripts/install_deps.sh installs is seen by the system's interpreter, and perhaps not by the first one in PATH.
find_package(Python3 REQUIRED COMPONENTS Interpreter)
function(baton_script_test)
  cmake_parse_arguments(PARSE_ARGV 0 arg "SERIAL;PACKAGES" "NAME;LABEL;SCRIPT;TIMEOUT" "ARGS")
  if(NOT arg_TIMEOUT)
    set(arg_TIMEOUT 60)
  endif()
  set(python Python3::Interpreter)
  if(arg_PACKAGES)
    set(python /usr/bin/python3)
  endif()
  add_test(NAME ${arg_LABEL}/${arg_NAME}
           COMMAND ${python} -B ${CMAKE_CURRENT_SOURCE_DIR}/${arg_SCRIPT} ${arg_ARGS})
  set_tests_properties(${arg_LABEL}/${arg_NAME} PROPERTIES LABELS ${arg_LABEL} TIMEOUT ${arg_TIMEOUT})
  if(arg_SERIAL)
    set_tests_properties(${arg_LABEL}/${arg_NAME} PROPERTIES RUN_SERIAL ON)
  endif()
endfunction()
