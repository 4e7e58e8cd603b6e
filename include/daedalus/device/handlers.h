// The handlers behind the ioctl table. Each checks the client's struct once, acts, and fills the struct for the way back.
// Errors are those of the kernel's V4L2 core and videobuf2. Loop thread. The files carry v4l2-compliance's group names.
#pragma once

#include <linux/media.h>

#include <memory>

#include "daedalus/base/result.h"
#include "daedalus/base/unique_fd.h"
#include "daedalus/media/device.h"
#include "daedalus/memory/memory.h"
#include "daedalus/v4l2/uapi.h"

namespace daedalus::device {

class Session;

/// What a handler may use beside the struct.
struct CallContext {
    memory::ClientMemory* client = nullptr;  ///< may be null
    /// Whether EAGAIN is an answer. Where it is not, a handler that would rather wait answers with what there is.
    bool mayWait = true;
    /// A descriptor for the client, to be stored at passedOffset (bytes) of the argument; none unless a handler sets it.
    UniqueFd passedFd;
    int passedFlags = 0;
    uint32_t passedOffset = 0;
    /// The request that the argument names, if that is one of ours.
    std::shared_ptr<media::Request> request;
    /// A new request, for which the client gets a descriptor at the start of the argument; none unless a handler sets it.
    std::shared_ptr<media::Request> passedRequest;
};

/// The argument of an ioctl that has none.
struct NoArgument {};

// handlers_io.cpp: the device as a whole
Result<> querycap(Session&, v4l2_capability&, CallContext&);
Result<> g_priority(Session&, uint32_t&, CallContext&);
Result<> s_priority(Session&, uint32_t&, CallContext&);
Result<> log_status(Session&, NoArgument&, CallContext&);

// handlers_formats.cpp
Result<> enum_fmt(Session&, v4l2_fmtdesc&, CallContext&);
/// EAGAIN: better wait for the stream's headers.
Result<> g_fmt(Session&, v4l2_format&, CallContext&);
Result<> s_fmt(Session&, v4l2_format&, CallContext&);
Result<> try_fmt(Session&, v4l2_format&, CallContext&);
Result<> enum_framesizes(Session&, v4l2_frmsizeenum&, CallContext&);

// handlers_selection.cpp
Result<> g_selection(Session&, v4l2_selection&, CallContext&);
Result<> s_selection(Session&, v4l2_selection&, CallContext&);
Result<> cropcap(Session&, v4l2_cropcap&, CallContext&);
Result<> g_crop(Session&, v4l2_crop&, CallContext&);
Result<> s_crop(Session&, v4l2_crop&, CallContext&);

// handlers_buffers.cpp
Result<> reqbufs(Session&, v4l2_requestbuffers&, CallContext&);
Result<> create_bufs(Session&, v4l2::CreateBuffers&, CallContext&);
Result<> remove_bufs(Session&, v4l2::RemoveBuffers&, CallContext&);
Result<> querybuf(Session&, v4l2_buffer&, CallContext&);
Result<> prepare_buf(Session&, v4l2_buffer&, CallContext&);
Result<> qbuf(Session&, v4l2_buffer&, CallContext&);
/// The same on a node with requests.
Result<> qbuf_of_request(Session&, v4l2_buffer&, CallContext&);
/// EAGAIN: nothing is done yet.
Result<> dqbuf(Session&, v4l2_buffer&, CallContext&);
Result<> expbuf(Session&, v4l2_exportbuffer&, CallContext&);
Result<> streamon(Session&, int&, CallContext&);
/// EAGAIN: a worker still has buffers.
Result<> streamoff(Session&, int&, CallContext&);

// handlers_controls.cpp
Result<> queryctrl(Session&, v4l2_queryctrl&, CallContext&);
Result<> query_ext_ctrl(Session&, v4l2_query_ext_ctrl&, CallContext&);
Result<> querymenu(Session&, v4l2_querymenu&, CallContext&);
Result<> g_ctrl(Session&, v4l2_control&, CallContext&);
Result<> s_ctrl(Session&, v4l2_control&, CallContext&);
Result<> g_ext_ctrls(Session&, v4l2_ext_controls&, CallContext&);
Result<> s_ext_ctrls(Session&, v4l2_ext_controls&, CallContext&);
Result<> try_ext_ctrls(Session&, v4l2_ext_controls&, CallContext&);

// handlers_events.cpp
Result<> subscribe_event(Session&, v4l2_event_subscription&, CallContext&);
Result<> unsubscribe_event(Session&, v4l2_event_subscription&, CallContext&);
/// EAGAIN: no event.
Result<> dqevent(Session&, v4l2_event&, CallContext&);

// handlers_codec.cpp
Result<> decoder_cmd(Session&, v4l2_decoder_cmd&, CallContext&);
Result<> try_decoder_cmd(Session&, v4l2_decoder_cmd&, CallContext&);

// handlers_units.cpp: what a stateless decoder does otherwise
Result<> get_unit_controls(Session&, v4l2_ext_controls&, CallContext&);
Result<> set_unit_controls(Session&, v4l2_ext_controls&, CallContext&);
Result<> try_unit_controls(Session&, v4l2_ext_controls&, CallContext&);
Result<> set_unit_control(Session&, v4l2_control&, CallContext&);
Result<> try_unit_cmd(Session&, v4l2_decoder_cmd&, CallContext&);
Result<> unit_cmd(Session&, v4l2_decoder_cmd&, CallContext&);

// handlers_media.cpp
Result<> device_info(media::Device&, media_device_info&, CallContext&);
Result<> enum_entities(media::Device&, media_entity_desc&, CallContext&);
Result<> enum_links(media::Device&, media_links_enum&, CallContext&);
Result<> setup_link(media::Device&, media_link_desc&, CallContext&);
Result<> g_topology(media::Device&, media_v2_topology&, CallContext&);
Result<> request_alloc(media::Device&, int&, CallContext&);
Result<> request_queue(media::Request&, NoArgument&, CallContext&);
Result<> request_reinit(media::Request&, NoArgument&, CallContext&);

/// The memory behind a mem_offset; see ioctl::File.
[[nodiscard]] Result<memory::MemoryRef> mmap(Session& session, uint64_t offset, size_t length);
[[nodiscard]] Result<memory::MemoryRef> memoryAt(Session& session, uint64_t offset, size_t length);

}  // namespace daedalus::device
