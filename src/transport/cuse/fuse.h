// libfuse's low-level CUSE interface, in the version that the project is written to.
#pragma once

#define FUSE_USE_VERSION 35

#include <fuse3/cuse_lowlevel.h>
