// Arguments of media devices.
#include "daedalus/v4l2/print.h"
#include "print_fields.h"

namespace daedalus::v4l2 {
namespace {

void printPad(std::string& out, const media_pad_desc& pad) {
    Fields fields(out);
    fields.number("entity", pad.entity);
    fields.number("index", uint32_t{pad.index});
}

}  // namespace

void print(std::string& out, const media_device_info& arg) {
    Fields fields(out);
    if (arg.driver[0] == '\0') return;  // on the way in
    fields.text("driver", arg.driver, sizeof arg.driver);
    fields.text("model", arg.model, sizeof arg.model);
    fields.text("bus_info", arg.bus_info, sizeof arg.bus_info);
}

void print(std::string& out, const media_entity_desc& arg) {
    Fields fields(out);
    fields.hex("id", arg.id);
    if (arg.name[0] == '\0') return;  // on the way in
    fields.text("name", arg.name, sizeof arg.name);
    fields.hex("type", arg.type);
    fields.number("pads", uint32_t{arg.pads});
    fields.number("links", uint32_t{arg.links});
}

void print(std::string& out, const media_links_enum& arg) {
    Fields fields(out);
    fields.number("entity", arg.entity);
}

void print(std::string& out, const media_link_desc& arg) {
    Fields fields(out);
    printPad(fields.key("source"), arg.source);
    printPad(fields.key("sink"), arg.sink);
    fields.hex("flags", arg.flags);
}

void print(std::string& out, const media_v2_topology& arg) {
    const media_v2_topology topology = arg;  // packed
    Fields fields(out);
    fields.number("num_entities", uint32_t{topology.num_entities});
    fields.number("num_interfaces", uint32_t{topology.num_interfaces});
    fields.number("num_pads", uint32_t{topology.num_pads});
    fields.number("num_links", uint32_t{topology.num_links});
}

}  // namespace daedalus::v4l2
