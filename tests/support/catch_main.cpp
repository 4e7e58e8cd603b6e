// Catch2's main(), compiled once for all unit and integration tests (dep_catch_main).
#define CATCH_CONFIG_MAIN
#include <catch2/catch.hpp>
