// What a fuzz target is to those that run it: libFuzzer's entry and the replay of a corpus.
#pragma once

#include "input.h"

namespace daedalus::fuzz {

/// Gives the target one input. Each target defines it once and keeps what it needs across inputs; one thread calls it. What is
/// broken ends the process.
void runTarget(Input& input);

}  // namespace daedalus::fuzz
