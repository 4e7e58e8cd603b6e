// Formats, capabilities, selections and the rest; buffers and controls have files of their own.
#include "daedalus/v4l2/print.h"

#include <cctype>
#include <cstring>

#include "daedalus/v4l2/formats.h"
#include "print_fields.h"

namespace daedalus::v4l2 {

void appendEnum(std::string& out, std::span<const Name> names, uint32_t value) {
    for (const Name& row : names) {
        if (row.value == value) {
            out += row.name;
            return;
        }
    }
    fmt::format_to(std::back_inserter(out), "{:#x}", value);
}

void appendFlags(std::string& out, std::span<const Name> names, uint32_t value) {
    bool first = true;
    for (const Name& row : names) {
        if ((value & row.value) == 0) continue;
        if (!std::exchange(first, false)) out += '|';
        out += row.name;
        value &= ~row.value;
    }
    if (value != 0) {
        fmt::format_to(std::back_inserter(out), "{}{:#x}", first ? "" : "|", value);
    } else if (first) {
        out += '0';
    }
}

void appendText(std::string& out, std::string_view field) {
    out += '"';
    for (const char letter : field.substr(0, field.find('\0'))) {
        const auto byte = static_cast<unsigned char>(letter);
        if (byte == '"' || byte == '\\') {
            out += '\\';
            out += letter;
        } else if (byte < 0x80 && std::isprint(byte) != 0) {
            out += letter;
        } else {
            fmt::format_to(std::back_inserter(out), "\\x{:02x}", byte);
        }
    }
    out += '"';
}

void Fields::fourcc(std::string_view name, uint32_t value) {
    if (value == 0) {
        number(name, 0);
    } else {
        const std::string letters = fourccName(value);
        appendText(key(name), letters);
    }
}

namespace {

void printSize(Fields& fields, std::string_view name, uint32_t width, uint32_t height) {
    fmt::format_to(std::back_inserter(fields.key(name)), "{}x{}", width, height);
}

void printFract(Fields& fields, std::string_view name, const v4l2_fract& fract) {
    fmt::format_to(std::back_inserter(fields.key(name)), "{}/{}", fract.numerator, fract.denominator);
}

void printRect(Fields& fields, std::string_view name, const v4l2_rect& rect) {
    fmt::format_to(std::back_inserter(fields.key(name)), "{}x{}@{},{}", rect.width, rect.height, rect.left, rect.top);
}

/// Left out where everything is DEFAULT.
void printColorimetry(Fields& fields, uint32_t colorspace, uint32_t xferFunc, uint32_t ycbcrEnc, uint32_t quantization) {
    if (colorspace != 0) fields.enumeration("colorspace", kColorspaceNames, colorspace);
    if (xferFunc != 0) fields.enumeration("xfer_func", kTransferFunctionNames, xferFunc);
    if (ycbcrEnc != 0) fields.enumeration("ycbcr_enc", kYcbcrEncodingNames, ycbcrEnc);
    if (quantization != 0) fields.enumeration("quantization", kQuantizationNames, quantization);
}

void printMultiPlanar(Fields& fields, const v4l2_pix_format_mplane& pix) {
    printSize(fields, "size", pix.width, pix.height);
    fields.fourcc("pixelformat", pix.pixelformat);
    fields.enumeration("field", kFieldNames, pix.field);
    printColorimetry(fields, pix.colorspace, pix.xfer_func, pix.ycbcr_enc, pix.quantization);
    fields.optionalFlags("flags", {}, pix.flags);
    fields.number("num_planes", static_cast<unsigned>(pix.num_planes));
    std::string& out = fields.key("planes");
    out += '[';
    for (unsigned i = 0; i < pix.num_planes && i < VIDEO_MAX_PLANES; ++i) {
        const v4l2_plane_pix_format plane = pix.plane_fmt[i];  // packed
        if (i > 0) out += ", ";
        Fields inner(out);
        inner.number("sizeimage", uint32_t{plane.sizeimage});
        inner.number("bytesperline", uint32_t{plane.bytesperline});
    }
    if (pix.num_planes > VIDEO_MAX_PLANES) out += ", ...";
    out += ']';
}

void printSinglePlanar(Fields& fields, const v4l2_pix_format& pix) {
    printSize(fields, "size", pix.width, pix.height);
    fields.fourcc("pixelformat", pix.pixelformat);
    fields.enumeration("field", kFieldNames, pix.field);
    fields.number("bytesperline", pix.bytesperline);
    fields.number("sizeimage", pix.sizeimage);
    printColorimetry(fields, pix.colorspace, pix.xfer_func, pix.ycbcr_enc, pix.quantization);
}

}  // namespace

void print(std::string& out, const v4l2_capability& arg) {
    Fields fields(out);
    fields.text("driver", arg.driver, sizeof arg.driver);
    fields.text("card", arg.card, sizeof arg.card);
    fields.text("bus_info", arg.bus_info, sizeof arg.bus_info);
    fmt::format_to(std::back_inserter(fields.key("version")), "{}.{}.{}", arg.version >> 16, (arg.version >> 8) & 0xff,
                   arg.version & 0xff);
    fields.flags("capabilities", kCapabilityNames, arg.capabilities);
    fields.flags("device_caps", kCapabilityNames, arg.device_caps);
}

void print(std::string& out, const v4l2_fmtdesc& arg) {
    Fields fields(out);
    fields.number("index", arg.index);
    fields.enumeration("type", kBufferTypeNames, arg.type);
    fields.flags("flags", kFormatFlagNames, arg.flags);
    fields.text("description", arg.description, sizeof arg.description);
    fields.fourcc("pixelformat", arg.pixelformat);
    fields.optional("mbus_code", arg.mbus_code);
}

void print(std::string& out, const v4l2_format& arg) {
    Fields fields(out);
    fields.enumeration("type", kBufferTypeNames, arg.type);
    switch (arg.type) {
        case V4L2_BUF_TYPE_VIDEO_CAPTURE_MPLANE:
        case V4L2_BUF_TYPE_VIDEO_OUTPUT_MPLANE:
            printMultiPlanar(fields, arg.fmt.pix_mp);
            break;
        case V4L2_BUF_TYPE_VIDEO_CAPTURE:
        case V4L2_BUF_TYPE_VIDEO_OUTPUT:
            printSinglePlanar(fields, arg.fmt.pix);
            break;
        default:
            fields.key("fmt") += "...";
    }
}

void print(std::string& out, const v4l2_decoder_cmd& arg) {
    Fields fields(out);
    fields.enumeration("cmd", kDecoderCommandNames, arg.cmd);
    fields.optionalFlags("flags", {}, arg.flags);
    if (arg.cmd == V4L2_DEC_CMD_START) {
        fields.optional("speed", arg.start.speed);
        fields.optional("format", arg.start.format);
    } else if (arg.cmd == V4L2_DEC_CMD_STOP) {
        fields.optional("pts", arg.stop.pts);
    }
}

void print(std::string& out, const v4l2_selection& arg) {
    Fields fields(out);
    fields.enumeration("type", kBufferTypeNames, arg.type);
    fields.enumeration("target", kSelectionTargetNames, arg.target);
    fields.optionalFlags("flags", kSelectionFlagNames, arg.flags);
    printRect(fields, "r", arg.r);
}

void print(std::string& out, const v4l2_cropcap& arg) {
    Fields fields(out);
    fields.enumeration("type", kBufferTypeNames, arg.type);
    printRect(fields, "bounds", arg.bounds);
    printRect(fields, "defrect", arg.defrect);
    printFract(fields, "pixelaspect", arg.pixelaspect);
}

void print(std::string& out, const v4l2_crop& arg) {
    Fields fields(out);
    fields.enumeration("type", kBufferTypeNames, arg.type);
    printRect(fields, "c", arg.c);
}

void print(std::string& out, const v4l2_frmsizeenum& arg) {
    Fields fields(out);
    fields.number("index", arg.index);
    fields.fourcc("pixel_format", arg.pixel_format);
    if (arg.type == 0) return;  // on the way in
    fields.enumeration("type", kFrameSizeTypeNames, arg.type);
    if (arg.type == V4L2_FRMSIZE_TYPE_DISCRETE) {
        printSize(fields, "size", arg.discrete.width, arg.discrete.height);
    } else {
        printSize(fields, "min", arg.stepwise.min_width, arg.stepwise.min_height);
        printSize(fields, "max", arg.stepwise.max_width, arg.stepwise.max_height);
        printSize(fields, "step", arg.stepwise.step_width, arg.stepwise.step_height);
    }
}

void print(std::string& out, const v4l2_streamparm& arg) {
    Fields fields(out);
    fields.enumeration("type", kBufferTypeNames, arg.type);
    if (V4L2_TYPE_IS_OUTPUT(arg.type)) {
        fields.flags("capability", kParmCapabilityNames, arg.parm.output.capability);
        printFract(fields, "timeperframe", arg.parm.output.timeperframe);
    } else {
        fields.flags("capability", kParmCapabilityNames, arg.parm.capture.capability);
        printFract(fields, "timeperframe", arg.parm.capture.timeperframe);
        fields.optional("readbuffers", arg.parm.capture.readbuffers);
    }
}

void print(std::string& out, int arg) {
    // The only `int` arguments of a decoder node are STREAMON's and STREAMOFF's buffer types.
    out += '[';
    appendEnum(out, kBufferTypeNames, static_cast<uint32_t>(arg));
    out += ']';
}

void print(std::string& out, uint32_t arg) { fmt::format_to(std::back_inserter(out), "[{}]", arg); }

std::string errnoName(int errnoValue) {
    const char* name = ::strerrorname_np(errnoValue);
    return name != nullptr ? name : std::to_string(errnoValue);
}

}  // namespace daedalus::v4l2
