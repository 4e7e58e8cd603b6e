// The node that udev's callers are shown.
#pragma once

#include "proto/wire.h"

namespace daedalus::preload {

/// True if there is a node to show, whether it answers or not.
bool showsNode();

/// The daemon's node; or, in a process that has no daemon, the character device that $DAEDALUS_DEVICE names, once it is there.
/// Else nullptr. Keeps errno.
const proto::HelloBody* shownNode();

}  // namespace daedalus::preload
