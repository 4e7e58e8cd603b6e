// Buffers and their planes.
#include "daedalus/v4l2/print.h"
#include "print_fields.h"

namespace daedalus::v4l2 {
namespace {

/// The flags, with the two fields that are numbers inside them taken apart.
void printBufferFlags(Fields& fields, uint32_t flags) {
    std::string& out = fields.key("flags");
    appendEnum(out, kTimestampNames, flags & V4L2_BUF_FLAG_TIMESTAMP_MASK);
    flags &= ~static_cast<uint32_t>(V4L2_BUF_FLAG_TIMESTAMP_MASK);
    if (flags == 0) return;
    out += '|';
    appendFlags(out, kBufferFlagNames, flags);
}

/// The member of `m` that the memory type selects.
template <class Location>
void printLocation(Fields& fields, uint32_t memory, const Location& m) {
    switch (memory) {
        case V4L2_MEMORY_USERPTR:
            fields.hex("userptr", m.userptr);
            break;
        case V4L2_MEMORY_DMABUF:
            fields.number("fd", m.fd);
            break;
        default:
            break;
    }
}

void printPlanes(Fields& fields, const v4l2_buffer& arg) {
    std::string& out = fields.key("planes");
    if (arg.length > VIDEO_MAX_PLANES) {
        // Such an array is never gathered, so the pointer is still the client's.
        fmt::format_to(std::back_inserter(out), "[{} > {}]", arg.length, VIDEO_MAX_PLANES);
        return;
    }
    if (arg.length > 0 && arg.m.planes == nullptr) {
        out += "NULL";
        return;
    }
    out += '[';
    for (unsigned i = 0; i < arg.length; ++i) {
        const v4l2_plane& plane = arg.m.planes[i];
        if (i > 0) out += ", ";
        Fields inner(out);
        inner.number("bytesused", plane.bytesused);
        inner.number("length", plane.length);
        if (arg.memory == V4L2_MEMORY_MMAP) inner.hex("mem_offset", plane.m.mem_offset);
        printLocation(inner, arg.memory, plane.m);
        inner.optional("data_offset", plane.data_offset);
    }
    out += ']';
}

}  // namespace

void print(std::string& out, const v4l2_requestbuffers& arg) {
    Fields fields(out);
    fields.enumeration("type", kBufferTypeNames, arg.type);
    fields.number("count", arg.count);
    fields.enumeration("memory", kMemoryNames, arg.memory);
    fields.optionalFlags("capabilities", kBufferCapabilityNames, arg.capabilities);
    fields.optionalFlags("flags", {}, arg.flags);
}

void print(std::string& out, const CreateBuffers& arg) {
    Fields fields(out);
    fields.number("index", arg.index);
    fields.number("count", arg.count);
    fields.enumeration("memory", kMemoryNames, arg.memory);
    print(fields.key("format"), arg.format);
    fields.optionalFlags("capabilities", kBufferCapabilityNames, arg.capabilities);
    fields.optionalFlags("flags", {}, arg.flags);
    fields.optional("max_num_buffers", arg.max_num_buffers);
}

void print(std::string& out, const RemoveBuffers& arg) {
    Fields fields(out);
    fields.enumeration("type", kBufferTypeNames, arg.type);
    fields.number("index", arg.index);
    fields.number("count", arg.count);
}

void print(std::string& out, const v4l2_buffer& arg) {
    Fields fields(out);
    fields.number("index", arg.index);
    fields.enumeration("type", kBufferTypeNames, arg.type);
    fields.enumeration("memory", kMemoryNames, arg.memory);
    printBufferFlags(fields, arg.flags);
    fields.enumeration("field", kFieldNames, arg.field);
    fmt::format_to(std::back_inserter(fields.key("timestamp")), "{}.{:06}", static_cast<int64_t>(arg.timestamp.tv_sec),
                   static_cast<int64_t>(arg.timestamp.tv_usec));
    fields.number("sequence", arg.sequence);
    if ((arg.flags & V4L2_BUF_FLAG_REQUEST_FD) != 0) fields.number("request_fd", arg.request_fd);
    if (V4L2_TYPE_IS_MULTIPLANAR(arg.type)) {
        printPlanes(fields, arg);
        return;
    }
    fields.number("bytesused", arg.bytesused);
    fields.number("length", arg.length);
    if (arg.memory == V4L2_MEMORY_MMAP) fields.hex("offset", arg.m.offset);
    printLocation(fields, arg.memory, arg.m);
}

void print(std::string& out, const v4l2_exportbuffer& arg) {
    Fields fields(out);
    fields.enumeration("type", kBufferTypeNames, arg.type);
    fields.number("index", arg.index);
    fields.number("plane", arg.plane);
    fields.flags("flags", kOpenFlagNames, arg.flags);
    fields.number("fd", arg.fd);
}

}  // namespace daedalus::v4l2
