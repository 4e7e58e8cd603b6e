// A node of the single-planar API, as one of the multi-planar API.
#pragma once

#include <memory>

#include "endpoint.h"

namespace daedalus::tools {

/// Takes the multi-planar calls of the decode client, and passes them on to `device` in single-planar form.
[[nodiscard]] std::unique_ptr<Endpoint> asMultiPlanar(std::unique_ptr<Endpoint> device);

}  // namespace daedalus::tools
