// Fuzzes the daemon's side of the socket protocol: two hostile clients, and an honest one that must be served all the same.
#include <unistd.h>

#include <array>
#include <filesystem>
#include <memory>
#include <string>

#include "client.h"
#include "daedalus/transport/socket.h"
#include "stage.h"
#include "target.h"
#include "wire_client.h"

namespace daedalus::fuzz {
namespace {

constexpr size_t kMaxActions = 96;

/// What lives across inputs.
struct World {
    World();
    ~World();
    World(const World&) = delete;
    World& operator=(const World&) = delete;

    Stage stage;
    Arena arena;
    std::string folder;
    std::string path;
    std::unique_ptr<transport::SocketServer> server;
    size_t inputs = 0;
};

World::World() {
    folder = std::filesystem::temp_directory_path() / "daedalus-fuzz-XXXXXX";
    require(::mkdtemp(folder.data()) != nullptr, "no folder for the socket");
    path = folder + "/socket";
    stage.run([this] {
        auto listening = transport::listenSocket(stage.loop(), stage.node(Stage::Codecs::Fake), path,
                                                 {.nodePath = "/dev/video9", .card = "fuzz"});
        require(listening.has_value(), "the server cannot listen");
        server = *std::move(listening);
    });
}

World::~World() {
    stage.run([this] { server.reset(); });
    stage.turn();
    std::error_code ignored;
    std::filesystem::remove_all(folder, ignored);
}

/// A client that does all as it should be: it must find a working node whatever the others did.
void serveHonestClient(World& world) {
    WireClient honest(world.stage, world.path);
    require(honest.connect() && honest.hello(), "an honest client is not greeted");
    require(honest.open(), "an honest client cannot open the node");
    const uint64_t argument = world.arena.address(Arena::kArgument);
    require(honest.call(VIDIOC_QUERYCAP, argument) == 0, "an honest client's QUERYCAP fails");
    v4l2_capability capability;
    std::memcpy(&capability, world.arena.bytes(Arena::kArgument).data(), sizeof capability);
    require((capability.device_caps & V4L2_CAP_VIDEO_M2M_MPLANE) != 0, "an honest client's QUERYCAP is wrong");
}

struct Hostile {
    explicit Hostile(World& world) : wire(world.stage, world.path), client(wire, world.arena, Stage::Codecs::Fake) {}

    /// As far as a client has to be before its calls do something.
    void enter() { std::ignore = wire.connect() && wire.hello() && wire.open(); }
    void act(World& world, Input& input, uint32_t action);

    WireClient wire;
    Client client;
};

void Hostile::act(World& world, Input& input, uint32_t action) {
    switch (action) {
        case 0:
        case 1:
        case 2:
            return client.tableIoctl(input);
        case 3:
            return client.wildIoctl(input);
        case 4:
            return client.feed(input);
        case 5:
            return input.rarely(2) ? client.refill(input) : client.take(input);
        case 6:
            return client.setUp(input);
        case 7:
            return wire.corruptNext(input);
        case 8:
            return wire.sendRaw(input);
        case 9:
        case 10:
            return wire.sendRequest(input);
        case 11:
            return wire.cancel();
        case 12: {
            const uint32_t how = input.below(4);
            wire.disconnect();
            if (how == 0) return world.stage.turn();
            if (!wire.connect() || how == 1) return;
            return how == 2 ? static_cast<void>(wire.ask(proto::Kind::Hello, input.number())) : static_cast<void>(wire.hello());
        }
        case 13:
            return input.rarely(2) ? wire.switchSession(input) : wire.useFile(input);
        case 14:
            return world.stage.settle(1 + input.below(3));
        default:
            wire.setReading(!input.rarely(3));
            wire.setNonblocking(!input.rarely(3));
    }
}

void run(World& world, Input& input) {
    const uint8_t mode = input.byte();
    silenceLog((mode & 1) != 0);
    world.arena.clear();
    {
        std::array<std::unique_ptr<Hostile>, 2> hostile{std::make_unique<Hostile>(world),
                                                        (mode & 2) != 0 ? std::make_unique<Hostile>(world) : nullptr};
        for (const auto& one : hostile)
            if (one && (mode & 12) != 0) one->enter();
        if ((mode & 8) != 0) hostile[0]->client.setUp(input);
        for (size_t actions = 0; actions < kMaxActions && !input.empty(); ++actions) {
            const uint8_t choice = input.byte();
            auto& one = hostile[1] != nullptr && choice >= 192 ? *hostile[1] : *hostile[0];
            one.act(world, input, choice % 16);
        }
        serveHonestClient(world);
    }
    world.stage.awaitEnd();
    // The server may still read an open that its client sent before it left.
    require(world.stage.await([&] { return world.server->sessions() == 0; }), "the server keeps a session that is over");
    world.stage.awaitEnd();
    if (world.inputs++ % 16 == 0) world.stage.checkFds();
}

}  // namespace

void runTarget(Input& input) {
    static World world;
    run(world, input);
}

}  // namespace daedalus::fuzz
