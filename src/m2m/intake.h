// OUTPUT's side of a worker: buffers and drains in their order, the codec, and what it gives.
#pragma once

#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <variant>
#include <vector>

#include "call_watch.h"
#include "daedalus/m2m/decode_strand.h"

namespace daedalus::m2m {

/// A picture on its way to CAPTURE, or an access unit that gave none.
struct Item {
    std::variant<std::shared_ptr<const codec::Frame>, codec::Damaged> content;
    queue::Metadata metadata;
    /// The OUTPUT buffer of a stream without headers goes back together with the CAPTURE buffer that it gives.
    std::optional<queue::ActiveBuffer> input{};

    /// Its picture, or nullptr.
    [[nodiscard]] const codec::Frame* frame() const {
        const auto* found = std::get_if<std::shared_ptr<const codec::Frame>>(&content);
        return found ? found->get() : nullptr;
    }
};

/// Worker.
class Intake {
public:
    Intake(const Resources& resources, v4l2::Codec codec, std::string session, CallWatch& watch);

    void put(queue::ActiveBuffer buffer) { inputs_.emplace_back(std::move(buffer)); }
    void putDrain() { inputs_.emplace_back(DrainMark{}); }
    [[nodiscard]] bool isEmpty() const { return inputs_.empty(); }
    [[nodiscard]] bool drainIsNext() const;
    [[nodiscard]] bool hasDrain() const;
    void dropDrains();

    /// What a buffer showed of a stream that is not set up yet.
    struct NothingNew {};
    struct HeadersMissing {};
    using Shown = std::variant<NothingNew, HeadersMissing, codec::StreamFormat>;
    /// Sends the next buffer, which is no drain, to the codec. `isSetUp`: there is an epoch to deliver.
    [[nodiscard]] Result<Shown> feed(bool isSetUp);
    /// Returns the buffer that was fed, after what it showed was told: a client that has it back finds the event.
    void giveBack(bool isSetUp);

    /// The codec wants nothing before receive().
    [[nodiscard]] bool mayReceive() const { return unit_ != Unit::Consumed; }
    /// True once where the codec holds back what could come out, and no more is at hand for it.
    [[nodiscard]] bool runsDry();
    /// No more has come since then: it is to come out, if `goesOn`.
    void starve(bool goesOn);
    /// More has come while the codec settles: that is fed first.
    [[nodiscard]] bool hasBetterThanSettling() const { return unit_ == Unit::Settling && !inputs_.empty(); }
    /// A client that cuts the stream anywhere shows it by how its second buffer begins; what the first gave is wrong then.
    [[nodiscard]] bool nextTellsOfFirst(bool isSetUp) const;
    struct Hungry {};   ///< for feed()
    struct Working {};  ///< receive() goes on
    using Yield = std::variant<Hungry, Working, codec::EndOfStream, Item>;
    /// One step of the codec.
    [[nodiscard]] Result<Yield> receive(bool isSetUp);

    /// Takes the drain that is next. False if there is nothing in the codec.
    [[nodiscard]] Result<bool> drain();
    /// A drain that the codec has ended: the stream goes on.
    void resume();
    /// What is behind a mark in the stream goes on: the codec has got over it by itself.
    void passMark();
    using Returned = std::vector<queue::ActiveBuffer>;
    /// Everything is forgotten, by the codec too. The buffers, to be given back.
    [[nodiscard]] Returned flush();
    /// Closes the codec, which may take a while, and drops the buffers.
    void close();

private:
    struct DrainMark {};
    enum class Unit : uint8_t { Consumed, Settling, Open, GaveItem };  ///< of what the codec was sent last
    enum class Dry : uint8_t { No, Told };                             ///< of runsDry()
    enum class Headers : uint8_t { Searched, Missing, Confirmed };     ///< Confirmed: by a picture

    [[nodiscard]] Result<> open();
    [[nodiscard]] Result<std::span<const std::byte>> bytesOf(const queue::ActiveBuffer& buffer);
    [[nodiscard]] Shown lookForHeaders(size_t bytes, bool isSetUp);
    [[nodiscard]] bool headerless(bool isSetUp) const { return isSetUp && headers_ == Headers::Missing; }
    void gaveItem() { unit_ = unit_ == Unit::Settling ? Unit::Settling : Unit::GaveItem; }
    [[nodiscard]] queue::Metadata metadataOf(uint64_t tag) const;
    [[nodiscard]] Yield consumed(bool isSetUp);
    template <class Call>
    [[nodiscard]] auto timed(const Call& call) -> decltype(call());

    codec::Factory& codecs_;
    const v4l2::Codec codec_;
    const codec::DecoderOptions options_;
    const std::string session_;
    CallWatch& watch_;

    std::unique_ptr<codec::Decoder> decoder_;
    std::deque<std::variant<queue::ActiveBuffer, DrainMark>> inputs_;
    std::optional<queue::ActiveBuffer> held_;  ///< for Item::input
    std::map<uint64_t, queue::Metadata> metadata_;
    std::vector<std::byte> scratch_;
    uint64_t nextTag_ = 1;
    uint64_t fed_ = 0;            ///< buffers since the start or a flush
    size_t headerlessBytes_ = 0;  ///< consumed without finding headers
    Unit unit_ = Unit::Consumed;
    Dry dry_ = Dry::No;
    Headers headers_ = Headers::Searched;
};

}  // namespace daedalus::m2m
