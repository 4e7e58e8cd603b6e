// DECODER_CMD.
#include "daedalus/device/handlers.h"
#include "daedalus/device/session.h"

namespace daedalus::device {

Result<> try_decoder_cmd(Session&, v4l2_decoder_cmd& command, CallContext&) {
    if (command.cmd != V4L2_DEC_CMD_STOP && command.cmd != V4L2_DEC_CMD_START) return fail(EINVAL);
    // Neither speed, nor a time to stop at, nor muting makes sense here.
    command.flags = 0;
    if (command.cmd == V4L2_DEC_CMD_STOP) {
        command.stop.pts = 0;
    } else {
        command.start.speed = 0;
        command.start.format = V4L2_DEC_START_FMT_NONE;
    }
    return {};
}

Result<> decoder_cmd(Session& session, v4l2_decoder_cmd& command, CallContext& call) {
    if (auto ok = try_decoder_cmd(session, command, call); !ok) return ok;
    return command.cmd == V4L2_DEC_CMD_STOP ? session.stateful().stop() : session.stateful().start();
}

}  // namespace daedalus::device
