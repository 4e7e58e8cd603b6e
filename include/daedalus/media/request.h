// A request: a buffer, and the controls that are to hold for it. See request-api.rst of the kernel's documents.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <vector>

#include "daedalus/base/result.h"
#include "daedalus/v4l2/control_values.h"

namespace daedalus::media {

class Request;

/// Whose buffers and controls are in requests: a session of the device's video node. Loop thread.
class RequestUser {
public:
    virtual ~RequestUser() = default;
    /// Whether the request can be queued as it is: ENOENT for a control that its buffer needs.
    [[nodiscard]] virtual Result<> check(const Request& request) const = 0;
    /// The request is Queued. The user keeps it until its buffer is done.
    virtual void submit(std::shared_ptr<Request> request, uint32_t index) = 0;
    /// The request lets go of a buffer that it did not queue.
    virtual void unbind(uint32_t index) = 0;
};

enum class RequestState : uint8_t { Idle, Queued, Complete };
inline constexpr size_t kRequestStates = 3;
/// Done: the last of what is in a queued request is finished.
enum class RequestEvent : uint8_t { Queue, Done, Reinit };
inline constexpr size_t kRequestEvents = 3;

/// kRequestTable[state][event]: the next state; nothing where the kernel answers EBUSY, or where the event cannot come.
inline constexpr std::array<std::array<std::optional<RequestState>, kRequestEvents>, kRequestStates> kRequestTable = {{
    /* Idle */ {RequestState::Queued, std::nullopt, RequestState::Idle},
    /* Queued */ {std::nullopt, RequestState::Complete, std::nullopt},
    /* Complete */ {std::nullopt, std::nullopt, RequestState::Idle},
}};

/// One request. Shared by its file and, while it is queued, by the session that works on it. Loop thread.
class Request : public std::enable_shared_from_this<Request> {
public:
    /// `device` tells requests of one media device from those of another; `alive` is dropped with the request.
    Request(const void* device, std::shared_ptr<void> alive) : device_(device), alive_(std::move(alive)) {}
    ~Request() { unbindAll(); }
    Request(const Request&) = delete;
    Request& operator=(const Request&) = delete;

    [[nodiscard]] RequestState state() const { return state_; }
    [[nodiscard]] bool isOf(const void* device) const { return device == device_; }
    /// POLLPRI once complete, POLLERR while idle.
    [[nodiscard]] uint32_t readiness() const;
    /// Calls `listener` whenever readiness() has changed.
    void onReadiness(std::function<void()> listener) { listener_ = std::move(listener); }

    /// MEDIA_REQUEST_IOC_QUEUE: EBUSY unless idle; ENOENT without a buffer; EINVAL for more than one, or controls of another
    /// session; what the user's check() says.
    [[nodiscard]] Result<> queue();
    /// MEDIA_REQUEST_IOC_REINIT: EBUSY while queued.
    [[nodiscard]] Result<> reinit();

    /// QBUF into the request. It must be idle.
    void addBuffer(RequestUser& user, uint32_t index) { buffers_.push_back({&user, index}); }
    /// Controls that hold for the request. EBUSY unless idle; EINVAL if it has some of another session.
    [[nodiscard]] Result<> setValues(RequestUser& user, const v4l2::ControlValues& values);
    /// What was set by setValues(); once the request is complete, all that held for it.
    [[nodiscard]] const v4l2::ControlValues& values() const { return values_; }

    /// For the user: the job is done, or will never be. `held`: all controls as they were for it.
    void complete(const v4l2::ControlValues& held);
    /// For the user: the buffer is not in this request any more.
    void bufferLeft(const RequestUser& user, uint32_t index);
    /// For the user: it ends, and with it all that this request has of it.
    void leave(const RequestUser& user);

private:
    struct Buffer {
        RequestUser* user;
        uint32_t index;
    };
    [[nodiscard]] Result<> on(RequestEvent event);
    void unbindAll();

    const void* const device_;
    const std::shared_ptr<void> alive_;
    RequestState state_ = RequestState::Idle;
    std::vector<Buffer> buffers_;
    const RequestUser* valuesUser_ = nullptr;
    v4l2::ControlValues values_;
    std::function<void()> listener_;
};

}  // namespace daedalus::media
