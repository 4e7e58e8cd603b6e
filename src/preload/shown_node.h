// The nodes that udev's callers are shown.
#pragma once

#include <cstddef>

#include "proto/wire.h"

namespace daedalus::preload {

/// True if there is a node to show, whether it answers or not.
bool showsNode();

/// The daemon's nodes, by index; or, in a process that has no daemon, the character device that $DAEDALUS_DEVICE names, once it
/// is there. nullptr after the last, which is not beyond proto::kMaxNodes. Keeps errno.
const proto::NodeEntry* shownNode(size_t index);

}  // namespace daedalus::preload
