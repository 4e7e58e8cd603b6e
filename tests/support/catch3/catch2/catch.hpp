// Catch2 3 by the name of Catch2 2's only header: Debian 12 has the one, later releases the other.
#pragma once

#include <catch2/catch_all.hpp>
