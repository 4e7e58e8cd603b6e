// Arguments of the single-planar API in the multi-planar form that the handlers know, and back; for nodes, and the other way
// round for our own client. Which arguments differ is a matter of their types: nothing else in the program knows of it.
#pragma once

#include "daedalus/base/result.h"
#include "daedalus/v4l2/uapi.h"

namespace daedalus::ioctl {

/// To the multi-planar form. A type that is not of the single-planar API becomes one that no handler takes.
/// `plane` is room for the plane of a v4l2_buffer, which then points to it.
void toMultiPlanar(v4l2_capability& argument, v4l2_plane& plane);
void toMultiPlanar(v4l2_fmtdesc& argument, v4l2_plane& plane);
void toMultiPlanar(v4l2_format& argument, v4l2_plane& plane);
void toMultiPlanar(v4l2_requestbuffers& argument, v4l2_plane& plane);
void toMultiPlanar(v4l2::CreateBuffers& argument, v4l2_plane& plane);
void toMultiPlanar(v4l2::RemoveBuffers& argument, v4l2_plane& plane);
void toMultiPlanar(v4l2_buffer& argument, v4l2_plane& plane);
void toMultiPlanar(v4l2_exportbuffer& argument, v4l2_plane& plane);
/// The buffer type of STREAMON and STREAMOFF.
void toMultiPlanar(int& argument, v4l2_plane& plane);

/// Back.
void toSinglePlanar(v4l2_capability& argument);
void toSinglePlanar(v4l2_fmtdesc& argument);
void toSinglePlanar(v4l2_format& argument);
void toSinglePlanar(v4l2_requestbuffers& argument);
void toSinglePlanar(v4l2::CreateBuffers& argument);
void toSinglePlanar(v4l2::RemoveBuffers& argument);
void toSinglePlanar(v4l2_buffer& argument);
void toSinglePlanar(v4l2_exportbuffer& argument);
void toSinglePlanar(int& argument);

/// Arguments that the two APIs write differently. (Rectangles have one form: the V4L2 core takes both types for each API.)
template <class Argument>
concept DependsOnPlanes = requires(Argument& argument, v4l2_plane& plane) {
    toMultiPlanar(argument, plane);
    toSinglePlanar(argument);
};

/// Runs `handler` for a client of the single-planar API. After an error the argument is as it was.
template <DependsOnPlanes Argument, class Handler>
Result<> runSinglePlanar(Argument& argument, Handler handler) {
    Argument converted = argument;
    v4l2_plane plane{};
    toMultiPlanar(converted, plane);
    if (auto ok = handler(converted); !ok) return ok;
    toSinglePlanar(converted);
    argument = converted;
    return {};
}

}  // namespace daedalus::ioctl
