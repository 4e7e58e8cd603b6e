// The names of the UAPI's enums and flags, as data.
#include <fcntl.h>

#include "daedalus/v4l2/uapi.h"
#include "print_fields.h"

namespace daedalus::v4l2 {
namespace {

#define BUFFER_TYPE(x) \
    { V4L2_BUF_TYPE_##x, #x }
constexpr Name kBufferTypes[] = {
    BUFFER_TYPE(VIDEO_CAPTURE),       BUFFER_TYPE(VIDEO_OUTPUT),         BUFFER_TYPE(VIDEO_OVERLAY),
    BUFFER_TYPE(VBI_CAPTURE),         BUFFER_TYPE(VBI_OUTPUT),           BUFFER_TYPE(SLICED_VBI_CAPTURE),
    BUFFER_TYPE(SLICED_VBI_OUTPUT),   BUFFER_TYPE(VIDEO_OUTPUT_OVERLAY), BUFFER_TYPE(VIDEO_CAPTURE_MPLANE),
    BUFFER_TYPE(VIDEO_OUTPUT_MPLANE), BUFFER_TYPE(SDR_CAPTURE),          BUFFER_TYPE(SDR_OUTPUT),
    BUFFER_TYPE(META_CAPTURE),        BUFFER_TYPE(META_OUTPUT),
};
#undef BUFFER_TYPE

#define MEMORY(x) \
    { V4L2_MEMORY_##x, #x }
constexpr Name kMemories[] = {MEMORY(MMAP), MEMORY(USERPTR), MEMORY(OVERLAY), MEMORY(DMABUF)};
#undef MEMORY

#define FIELD(x) \
    { V4L2_FIELD_##x, #x }
constexpr Name kFieldOrders[] = {
    FIELD(ANY),    FIELD(NONE),   FIELD(TOP),       FIELD(BOTTOM),        FIELD(INTERLACED),
    FIELD(SEQ_TB), FIELD(SEQ_BT), FIELD(ALTERNATE), FIELD(INTERLACED_TB), FIELD(INTERLACED_BT),
};
#undef FIELD

#define CAP(x) \
    { V4L2_CAP_##x, #x }
constexpr Name kCapabilities[] = {
    CAP(VIDEO_CAPTURE),
    CAP(VIDEO_OUTPUT),
    CAP(VIDEO_OVERLAY),
    CAP(VBI_CAPTURE),
    CAP(VBI_OUTPUT),
    CAP(SLICED_VBI_CAPTURE),
    CAP(SLICED_VBI_OUTPUT),
    CAP(RDS_CAPTURE),
    CAP(VIDEO_OUTPUT_OVERLAY),
    CAP(HW_FREQ_SEEK),
    CAP(RDS_OUTPUT),
    CAP(VIDEO_CAPTURE_MPLANE),
    CAP(VIDEO_OUTPUT_MPLANE),
    CAP(VIDEO_M2M_MPLANE),
    CAP(VIDEO_M2M),
    CAP(TUNER),
    CAP(AUDIO),
    CAP(RADIO),
    CAP(MODULATOR),
    CAP(SDR_CAPTURE),
    CAP(EXT_PIX_FORMAT),
    CAP(SDR_OUTPUT),
    CAP(META_CAPTURE),
    CAP(READWRITE),
    CAP(STREAMING),
    CAP(META_OUTPUT),
    CAP(TOUCH),
    CAP(IO_MC),
    CAP(DEVICE_CAPS),
};
#undef CAP

#define FORMAT_FLAG(x) \
    { V4L2_FMT_FLAG_##x, #x }
constexpr Name kFormatFlags[] = {
    FORMAT_FLAG(COMPRESSED),
    FORMAT_FLAG(EMULATED),
    FORMAT_FLAG(CONTINUOUS_BYTESTREAM),
    FORMAT_FLAG(DYN_RESOLUTION),
    FORMAT_FLAG(ENC_CAP_FRAME_INTERVAL),
    FORMAT_FLAG(CSC_COLORSPACE),
    FORMAT_FLAG(CSC_XFER_FUNC),
    FORMAT_FLAG(CSC_YCBCR_ENC),
    FORMAT_FLAG(CSC_QUANTIZATION),
};
#undef FORMAT_FLAG

#define BUFFER_FLAG(x) \
    { V4L2_BUF_FLAG_##x, #x }
constexpr Name kBufferFlags[] = {
    BUFFER_FLAG(MAPPED),         BUFFER_FLAG(QUEUED),
    BUFFER_FLAG(DONE),           BUFFER_FLAG(KEYFRAME),
    BUFFER_FLAG(PFRAME),         BUFFER_FLAG(BFRAME),
    BUFFER_FLAG(ERROR),          BUFFER_FLAG(IN_REQUEST),
    BUFFER_FLAG(TIMECODE),       BUFFER_FLAG(M2M_HOLD_CAPTURE_BUF),
    BUFFER_FLAG(PREPARED),       BUFFER_FLAG(NO_CACHE_INVALIDATE),
    BUFFER_FLAG(NO_CACHE_CLEAN), BUFFER_FLAG(TSTAMP_SRC_SOE),
    BUFFER_FLAG(LAST),           BUFFER_FLAG(REQUEST_FD),
};
constexpr Name kTimestamps[] = {BUFFER_FLAG(TIMESTAMP_UNKNOWN), BUFFER_FLAG(TIMESTAMP_MONOTONIC), BUFFER_FLAG(TIMESTAMP_COPY)};
#undef BUFFER_FLAG

#define BUFFER_CAP(x) \
    { V4L2_BUF_CAP_##x, #x }
constexpr Name kBufferCapabilities[] = {
    BUFFER_CAP(SUPPORTS_MMAP),
    BUFFER_CAP(SUPPORTS_USERPTR),
    BUFFER_CAP(SUPPORTS_DMABUF),
    BUFFER_CAP(SUPPORTS_REQUESTS),
    BUFFER_CAP(SUPPORTS_ORPHANED_BUFS),
    BUFFER_CAP(SUPPORTS_M2M_HOLD_CAPTURE_BUF),
    BUFFER_CAP(SUPPORTS_MMAP_CACHE_HINTS),
    BUFFER_CAP(SUPPORTS_MAX_NUM_BUFFERS),
    BUFFER_CAP(SUPPORTS_REMOVE_BUFS),
};
#undef BUFFER_CAP

#define COLORSPACE(x) \
    { V4L2_COLORSPACE_##x, #x }
constexpr Name kColorspaces[] = {
    COLORSPACE(DEFAULT),      COLORSPACE(SMPTE170M),     COLORSPACE(SMPTE240M), COLORSPACE(REC709), COLORSPACE(BT878),
    COLORSPACE(470_SYSTEM_M), COLORSPACE(470_SYSTEM_BG), COLORSPACE(JPEG),      COLORSPACE(SRGB),   COLORSPACE(OPRGB),
    COLORSPACE(BT2020),       COLORSPACE(RAW),           COLORSPACE(DCI_P3),
};
#undef COLORSPACE

#define XFER(x) \
    { V4L2_XFER_FUNC_##x, #x }
constexpr Name kTransferFunctions[] = {
    XFER(DEFAULT), XFER(709), XFER(SRGB), XFER(OPRGB), XFER(SMPTE240M), XFER(NONE), XFER(DCI_P3), XFER(SMPTE2084),
};
#undef XFER

#define ENCODING(x) \
    { V4L2_YCBCR_ENC_##x, #x }
constexpr Name kYcbcrEncodings[] = {
    ENCODING(DEFAULT),   ENCODING(601),  ENCODING(709),    ENCODING(XV601),
    ENCODING(XV709),     ENCODING(SYCC), ENCODING(BT2020), ENCODING(BT2020_CONST_LUM),
    ENCODING(SMPTE240M),
};
#undef ENCODING

#define QUANTIZATION(x) \
    { V4L2_QUANTIZATION_##x, #x }
constexpr Name kQuantizations[] = {QUANTIZATION(DEFAULT), QUANTIZATION(FULL_RANGE), QUANTIZATION(LIM_RANGE)};
#undef QUANTIZATION

// O_RDONLY is the absence of the other two.
constexpr Name kOpenFlags[] = {
    {O_WRONLY, "O_WRONLY"}, {O_RDWR, "O_RDWR"}, {O_NONBLOCK, "O_NONBLOCK"}, {O_CLOEXEC, "O_CLOEXEC"}};

#define TARGET(x) \
    { V4L2_SEL_TGT_##x, #x }
constexpr Name kSelectionTargets[] = {
    TARGET(CROP),    TARGET(CROP_DEFAULT),    TARGET(CROP_BOUNDS),    TARGET(NATIVE_SIZE),
    TARGET(COMPOSE), TARGET(COMPOSE_DEFAULT), TARGET(COMPOSE_BOUNDS), TARGET(COMPOSE_PADDED),
};
#undef TARGET
constexpr Name kSelectionFlags[] = {
    {V4L2_SEL_FLAG_GE, "GE"}, {V4L2_SEL_FLAG_LE, "LE"}, {V4L2_SEL_FLAG_KEEP_CONFIG, "KEEP_CONFIG"}};

constexpr Name kFrameSizeTypes[] = {{V4L2_FRMSIZE_TYPE_DISCRETE, "DISCRETE"},
                                    {V4L2_FRMSIZE_TYPE_CONTINUOUS, "CONTINUOUS"},
                                    {V4L2_FRMSIZE_TYPE_STEPWISE, "STEPWISE"}};
constexpr Name kParmCapabilities[] = {{V4L2_CAP_TIMEPERFRAME, "TIMEPERFRAME"}};

#define DECODER_COMMAND(x) \
    { V4L2_DEC_CMD_##x, #x }
constexpr Name kDecoderCommands[] = {DECODER_COMMAND(START), DECODER_COMMAND(STOP), DECODER_COMMAND(PAUSE),
                                     DECODER_COMMAND(RESUME), DECODER_COMMAND(FLUSH)};
#undef DECODER_COMMAND

#define EVENT(x) \
    { V4L2_EVENT_##x, #x }
constexpr Name kEvents[] = {EVENT(ALL),        EVENT(VSYNC),         EVENT(EOS),       EVENT(CTRL),
                            EVENT(FRAME_SYNC), EVENT(SOURCE_CHANGE), EVENT(MOTION_DET)};
#undef EVENT
constexpr Name kSubscriptionFlags[] = {{V4L2_EVENT_SUB_FL_SEND_INITIAL, "SEND_INITIAL"},
                                       {V4L2_EVENT_SUB_FL_ALLOW_FEEDBACK, "ALLOW_FEEDBACK"}};
constexpr Name kControlChanges[] = {
    {V4L2_EVENT_CTRL_CH_VALUE, "VALUE"}, {V4L2_EVENT_CTRL_CH_FLAGS, "FLAGS"}, {V4L2_EVENT_CTRL_CH_RANGE, "RANGE"}};
constexpr Name kSourceChanges[] = {{V4L2_EVENT_SRC_CH_RESOLUTION, "RESOLUTION"}};

#define CONTROL_TYPE(x) \
    { V4L2_CTRL_TYPE_##x, #x }
constexpr Name kControlTypes[] = {
    CONTROL_TYPE(INTEGER),
    CONTROL_TYPE(BOOLEAN),
    CONTROL_TYPE(MENU),
    CONTROL_TYPE(BUTTON),
    CONTROL_TYPE(INTEGER64),
    CONTROL_TYPE(CTRL_CLASS),
    CONTROL_TYPE(STRING),
    CONTROL_TYPE(BITMASK),
    CONTROL_TYPE(INTEGER_MENU),
    CONTROL_TYPE(U8),
    CONTROL_TYPE(U16),
    CONTROL_TYPE(U32),
    CONTROL_TYPE(AREA),
    CONTROL_TYPE(HDR10_CLL_INFO),
    CONTROL_TYPE(HDR10_MASTERING_DISPLAY),
};
#undef CONTROL_TYPE

#define CONTROL_FLAG(x) \
    { V4L2_CTRL_FLAG_##x, #x }
constexpr Name kControlFlags[] = {
    CONTROL_FLAG(DISABLED),    CONTROL_FLAG(GRABBED),          CONTROL_FLAG(READ_ONLY),     CONTROL_FLAG(UPDATE),
    CONTROL_FLAG(INACTIVE),    CONTROL_FLAG(SLIDER),           CONTROL_FLAG(WRITE_ONLY),    CONTROL_FLAG(VOLATILE),
    CONTROL_FLAG(HAS_PAYLOAD), CONTROL_FLAG(EXECUTE_ON_WRITE), CONTROL_FLAG(MODIFY_LAYOUT), CONTROL_FLAG(DYNAMIC_ARRAY),
};
#undef CONTROL_FLAG

constexpr Name kControlWhich[] = {{V4L2_CTRL_WHICH_CUR_VAL, "CUR_VAL"},
                                  {V4L2_CTRL_WHICH_DEF_VAL, "DEF_VAL"},
                                  {V4L2_CTRL_WHICH_REQUEST_VAL, "REQUEST_VAL"},
                                  {V4L2_CTRL_CLASS_USER, "CLASS_USER"},
                                  {V4L2_CTRL_CLASS_CODEC, "CLASS_CODEC"},
                                  {V4L2_CTRL_CLASS_CODEC_STATELESS, "CLASS_CODEC_STATELESS"},
                                  {V4L2_CTRL_CLASS_COLORIMETRY, "CLASS_COLORIMETRY"}};

#define CID(x) \
    { V4L2_CID_##x, #x }
constexpr Name kControlIds[] = {
    CID(USER_CLASS),
    CID(CODEC_CLASS),
    CID(CODEC_STATELESS_CLASS),
    CID(COLORIMETRY_CLASS),
    CID(BRIGHTNESS),
    CID(CONTRAST),
    CID(SATURATION),
    CID(HUE),
    CID(MIN_BUFFERS_FOR_CAPTURE),
    CID(MIN_BUFFERS_FOR_OUTPUT),
    CID(DAEDALUS_STREAM_BIT_DEPTH),
    CID(DAEDALUS_STREAM_CHROMA),
    CID(MPEG_VIDEO_DECODER_SLICE_INTERFACE),
    CID(MPEG_VIDEO_DEC_DISPLAY_DELAY),
    CID(MPEG_VIDEO_DEC_DISPLAY_DELAY_ENABLE),
    CID(MPEG_VIDEO_DEC_PTS),
    CID(MPEG_VIDEO_DEC_FRAME),
    CID(MPEG_VIDEO_DEC_CONCEAL_COLOR),
    CID(MPEG_VIDEO_MPEG2_PROFILE),
    CID(MPEG_VIDEO_MPEG2_LEVEL),
    CID(MPEG_VIDEO_H264_PROFILE),
    CID(MPEG_VIDEO_H264_LEVEL),
    CID(MPEG_VIDEO_HEVC_PROFILE),
    CID(MPEG_VIDEO_HEVC_LEVEL),
    CID(MPEG_VIDEO_HEVC_TIER),
    CID(MPEG_VIDEO_MPEG4_PROFILE),
    CID(MPEG_VIDEO_MPEG4_LEVEL),
    CID(MPEG_VIDEO_VP8_PROFILE),
    CID(MPEG_VIDEO_VP9_PROFILE),
    CID(MPEG_VIDEO_VP9_LEVEL),
    CID(MPEG_VIDEO_AV1_PROFILE),
    CID(MPEG_VIDEO_AV1_LEVEL),
    CID(COLORIMETRY_HDR10_CLL_INFO),
    CID(COLORIMETRY_HDR10_MASTERING_DISPLAY),
    CID(STATELESS_H264_DECODE_MODE),
    CID(STATELESS_H264_START_CODE),
    CID(STATELESS_H264_SPS),
    CID(STATELESS_H264_PPS),
    CID(STATELESS_H264_SCALING_MATRIX),
    CID(STATELESS_H264_PRED_WEIGHTS),
    CID(STATELESS_H264_SLICE_PARAMS),
    CID(STATELESS_H264_DECODE_PARAMS),
    CID(STATELESS_VP8_FRAME),
    CID(STATELESS_MPEG2_SEQUENCE),
    CID(STATELESS_MPEG2_PICTURE),
    CID(STATELESS_MPEG2_QUANTISATION),
    CID(STATELESS_HEVC_SPS),
    CID(STATELESS_HEVC_PPS),
    CID(STATELESS_HEVC_SLICE_PARAMS),
    CID(STATELESS_HEVC_SCALING_MATRIX),
    CID(STATELESS_HEVC_DECODE_PARAMS),
    CID(STATELESS_HEVC_DECODE_MODE),
    CID(STATELESS_HEVC_START_CODE),
    CID(STATELESS_VP9_FRAME),
    CID(STATELESS_VP9_COMPRESSED_HDR),
};
#undef CID

}  // namespace

const std::span<const Name> kBufferTypeNames = kBufferTypes;
const std::span<const Name> kMemoryNames = kMemories;
const std::span<const Name> kFieldNames = kFieldOrders;
const std::span<const Name> kCapabilityNames = kCapabilities;
const std::span<const Name> kFormatFlagNames = kFormatFlags;
const std::span<const Name> kBufferFlagNames = kBufferFlags;
const std::span<const Name> kBufferCapabilityNames = kBufferCapabilities;
const std::span<const Name> kTimestampNames = kTimestamps;
const std::span<const Name> kColorspaceNames = kColorspaces;
const std::span<const Name> kTransferFunctionNames = kTransferFunctions;
const std::span<const Name> kYcbcrEncodingNames = kYcbcrEncodings;
const std::span<const Name> kQuantizationNames = kQuantizations;
const std::span<const Name> kOpenFlagNames = kOpenFlags;
const std::span<const Name> kSelectionTargetNames = kSelectionTargets;
const std::span<const Name> kSelectionFlagNames = kSelectionFlags;
const std::span<const Name> kFrameSizeTypeNames = kFrameSizeTypes;
const std::span<const Name> kParmCapabilityNames = kParmCapabilities;
const std::span<const Name> kDecoderCommandNames = kDecoderCommands;
const std::span<const Name> kEventNames = kEvents;
const std::span<const Name> kSubscriptionFlagNames = kSubscriptionFlags;
const std::span<const Name> kControlChangeNames = kControlChanges;
const std::span<const Name> kSourceChangeNames = kSourceChanges;
const std::span<const Name> kControlTypeNames = kControlTypes;
const std::span<const Name> kControlFlagNames = kControlFlags;
const std::span<const Name> kControlWhichNames = kControlWhich;
const std::span<const Name> kControlIdNames = kControlIds;

}  // namespace daedalus::v4l2
