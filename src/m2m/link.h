// The tie between a strand's messages and its listener, which may end first.
#pragma once

#include "daedalus/m2m/decode_strand.h"

namespace daedalus::m2m {

struct DecodeStrand::Link {
    explicit Link(Listener* to) : listener(to) {}
    Listener* listener;  ///< loop thread
};

}  // namespace daedalus::m2m
