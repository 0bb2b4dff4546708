// Nothing: CMake precompiles headers only for a library that has a source. CMakeLists.txt lists them.
