// Prints ioctl arguments as strace does: `{type=VIDEO_OUTPUT_MPLANE, count=4, memory=MMAP}`. One overload per UAPI struct.
#pragma once

#include <linux/media.h>

#include <cstdint>
#include <string>

#include "daedalus/v4l2/uapi.h"

namespace daedalus::v4l2 {

/// Each appends to `out` and reads nothing but the struct itself and, where a pointer of the struct was already replaced by
/// one to gathered memory (planes, controls), what it points to.
void print(std::string& out, const v4l2_capability& arg);
void print(std::string& out, const v4l2_fmtdesc& arg);
void print(std::string& out, const v4l2_format& arg);
void print(std::string& out, const v4l2_requestbuffers& arg);
void print(std::string& out, const CreateBuffers& arg);
void print(std::string& out, const RemoveBuffers& arg);
void print(std::string& out, const v4l2_buffer& arg);
void print(std::string& out, const v4l2_exportbuffer& arg);
void print(std::string& out, const v4l2_queryctrl& arg);
void print(std::string& out, const v4l2_query_ext_ctrl& arg);
void print(std::string& out, const v4l2_querymenu& arg);
void print(std::string& out, const v4l2_control& arg);
void print(std::string& out, const v4l2_ext_controls& arg);
void print(std::string& out, const v4l2_event_subscription& arg);
void print(std::string& out, const v4l2_event& arg);
void print(std::string& out, const v4l2_decoder_cmd& arg);
void print(std::string& out, const v4l2_selection& arg);
void print(std::string& out, const v4l2_cropcap& arg);
void print(std::string& out, const v4l2_crop& arg);
void print(std::string& out, const v4l2_frmsizeenum& arg);
void print(std::string& out, const v4l2_streamparm& arg);
void print(std::string& out, const media_device_info& arg);
void print(std::string& out, const media_entity_desc& arg);
void print(std::string& out, const media_links_enum& arg);
void print(std::string& out, const media_link_desc& arg);
void print(std::string& out, const media_v2_topology& arg);
/// Plain integers: STREAMON's buffer type, S_PRIORITY's priority.
void print(std::string& out, int arg);
void print(std::string& out, uint32_t arg);

/// The name of an errno ("EINVAL"), or its number.
[[nodiscard]] std::string errnoName(int errnoValue);

}  // namespace daedalus::v4l2
