// Read-only mappings of files for JavaScript: map, page in, release, unmap. Kernels read the mapped memory by plain
// addresses. addon.cpp calls export_mapped_files to add these functions to its exports.
#pragma once

#include <napi.h>

void export_mapped_files(Napi::Env env, Napi::Object exports);
