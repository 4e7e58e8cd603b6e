// What keeps a program from the node.
#pragma once

#include <string>

namespace daedalus::daemon {

struct ProgramHint {
    enum class Kind {
        Reached,     ///< nothing speaks against the preload library
        Static,      ///< it and the library do not notice each other
        OtherLibc,   ///< its loader would stumble over the library
        Privileged,  ///< setuid and the like: it may not be reached at all
    };
    Kind kind = Kind::Reached;
    std::string why;  ///< as a sentence for the user; empty if it is reached
};

/// How `program` (found as execvp() finds it) takes the preload library. Of a script, its interpreter is judged.
[[nodiscard]] ProgramHint judgeProgram(const std::string& program);

}  // namespace daedalus::daemon
