// The list of a stream's formats: what was found, told and set up.
#include <catch2/catch.hpp>

#include "daedalus/m2m/epochs.h"

using namespace daedalus;
using namespace daedalus::m2m;
using Stage = Epoch::Stage;

namespace {

codec::StreamFormat sized(uint32_t width) {
    codec::StreamFormat format;
    format.codedWidth = width;
    format.codedHeight = 48;
    return format;
}

CaptureFormat captureOf(uint32_t width) {
    CaptureFormat format;
    format.layout.width = width;
    return format;
}

/// One epoch set up for a width.
struct OneSetUp {
    Epochs epochs;
    OneSetUp() {
        epochs.found(sized(64));
        epochs.tell();
        epochs.seen();
        epochs.setUp(captureOf(64), Stage::SetUp);
    }
};

}  // namespace

TEST_CASE("an epoch is current when it was told, and set up when it was set up") {
    Epochs epochs;
    CHECK_FALSE(epochs.current());
    epochs.found(sized(64));
    CHECK(epochs.untold()->format.codedWidth == 64);
    CHECK_FALSE(epochs.current());
    epochs.tell();
    CHECK_FALSE(epochs.untold());
    CHECK(epochs.current()->format.codedWidth == 64);
    CHECK_FALSE(epochs.setUp());
    const uint64_t number = epochs.setUp(captureOf(64), Stage::SetUp).number;
    CHECK(epochs.setUp()->number == number);
    CHECK(epochs.current()->number == number);
}

TEST_CASE("the first setup counts as made without knowledge until the event was seen") {
    Epochs epochs;
    CHECK_FALSE(epochs.firstIsUnseen());
    epochs.found(sized(64));
    epochs.seen();  // of an event before
    epochs.tell();
    CHECK(epochs.firstIsUnseen());
    epochs.seen();
    CHECK_FALSE(epochs.firstIsUnseen());
}

TEST_CASE_METHOD(OneSetUp, "only the first setup can be one without knowledge") {
    epochs.found(sized(96));
    epochs.tell();
    CHECK_FALSE(epochs.firstIsUnseen());
}

TEST_CASE("a provisional setup ends by a frame that is dequeued, or is taken back, once") {
    Epochs epochs;
    epochs.found(sized(64));
    epochs.tell();
    epochs.setUp(captureOf(64), Stage::Provisional);
    SECTION("dequeued") {
        CHECK(epochs.accept());
        CHECK_FALSE(epochs.accept());
        CHECK_FALSE(epochs.takeBack());
        CHECK(epochs.setUp());
    }
    SECTION("taken back") {
        CHECK(epochs.takeBack());
        CHECK_FALSE(epochs.takeBack());
        CHECK_FALSE(epochs.accept());
        CHECK_FALSE(epochs.setUp());
        CHECK(epochs.current());
        // The setup that answers is no provisional one.
        CHECK_FALSE(epochs.firstIsUnseen());
    }
}

TEST_CASE_METHOD(OneSetUp, "a format that was found takes the place of one that nobody was told of") {
    epochs.found(sized(96));
    const uint64_t first = epochs.untold()->number;
    epochs.found(sized(128));
    CHECK(epochs.untold()->format.codedWidth == 128);
    CHECK(epochs.untold()->number > first);
    CHECK(epochs.current()->format.codedWidth == 64);
    epochs.refuse();
    CHECK_FALSE(epochs.untold());
    epochs.refuse();
    CHECK(epochs.current()->format.codedWidth == 64);
}

TEST_CASE_METHOD(OneSetUp, "a seek gives up what the client has not answered, and keeps what was set up") {
    CHECK_FALSE(epochs.giveUpChanges());
    epochs.found(sized(96));
    epochs.tell();
    CHECK(epochs.current()->format.codedWidth == 96);
    CHECK(epochs.giveUpChanges());
    CHECK(epochs.current()->format.codedWidth == 64);
    CHECK(epochs.setUp()->capture.layout.width == 64);
}

TEST_CASE("a seek before the first setup keeps what is known") {
    Epochs epochs;
    epochs.found(sized(64));
    epochs.tell();
    CHECK_FALSE(epochs.giveUpChanges());
    CHECK(epochs.current()->format.codedWidth == 64);
}

TEST_CASE_METHOD(OneSetUp, "an epoch is described by number, also when it is not current any more") {
    const uint64_t first = epochs.current()->number;
    auto described = sized(64);
    described.pixelAspectNum = 4;
    CHECK(epochs.describe(first, described));
    CHECK(epochs.current()->format.pixelAspectNum == 4);
    epochs.found(sized(96));
    epochs.tell();
    described.pixelAspectNum = 16;
    CHECK_FALSE(epochs.describe(first, described));
    CHECK(epochs.current()->format.codedWidth == 96);
    CHECK(epochs.giveUpChanges());
    CHECK(epochs.current()->format.pixelAspectNum == 16);
    epochs.clear();
    CHECK_FALSE(epochs.describe(first, described));
}

TEST_CASE_METHOD(OneSetUp, "numbers are never used twice") {
    const uint64_t first = epochs.current()->number;
    epochs.clear();
    CHECK_FALSE(epochs.current());
    epochs.found(sized(64));
    CHECK(epochs.untold()->number > first);
}
