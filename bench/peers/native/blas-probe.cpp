// Times sgemm of a BLAS library that is loaded at run time: the process of the peers OpenBLAS and BLIS. Executes the
// same commands as src/processes/peer-child.ts. `blas-probe openblas|blis THREADS`.
#include <dlfcn.h>

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <iostream>
#include <map>
#include <memory>
#include <new>
#include <sstream>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

namespace {

// The constants of cblas.h.
constexpr int kRowMajor = 101;
constexpr int kNoTranspose = 111;
constexpr int kTranspose = 112;

using Sgemm = void (*)(int order, int transpose_a, int transpose_b, int m, int n, int k, float alpha, const float* a, int lda,
                       const float* b, int ldb, float beta, float* c, int ldc);
using Sgemv = void (*)(int order, int transpose, int m, int n, float alpha, const float* a, int lda, const float* x,
                       int incx, float beta, float* y, int incy);

class Library {
 public:
  explicit Library(const std::vector<std::string>& names) {
    for (const std::string& name : names) {
      if (handle_ == nullptr) handle_ = dlopen(name.c_str(), RTLD_NOW | RTLD_LOCAL);
    }
    if (handle_ == nullptr) throw std::runtime_error("the library is not installed");
  }

  template <typename Function>
  Function find(const char* name) const {
    void* address = dlsym(handle_, name);
    if (address == nullptr) throw std::runtime_error(std::string("the library has no ") + name);
    return reinterpret_cast<Function>(address);
  }

 private:
  void* handle_ = nullptr;
};

struct Blas {
  Sgemm sgemm;
  Sgemv sgemv;
  std::string about;
};

Blas open_openblas(int threads) {
  // Tries the multi-threaded variant first: Debian has several.
  const Library library({"/usr/lib/x86_64-linux-gnu/openblas-pthread/libopenblas.so.0", "libopenblas.so.0"});
  library.find<void (*)(int)>("openblas_set_num_threads")(threads);
  const int granted = library.find<int (*)()>("openblas_get_num_threads")();
  std::ostringstream about;
  about << library.find<char* (*)()>("openblas_get_config")() << ", kernel "
        << library.find<char* (*)()>("openblas_get_corename")() << ", " << granted << " threads";
  return {library.find<Sgemm>("cblas_sgemm"), library.find<Sgemv>("cblas_sgemv"), about.str()};
}

Blas open_blis(int threads) {
  const Library library({"/usr/lib/x86_64-linux-gnu/blis-pthread/libblis.so.4", "libblis.so.4"});
  library.find<void (*)(int64_t)>("bli_thread_set_num_threads")(threads);
  const int arch = library.find<int (*)()>("bli_arch_query_id")();
  std::ostringstream about;
  about << "BLIS " << library.find<const char* (*)()>("bli_info_get_version_str")() << ", kernel "
        << library.find<const char* (*)(int)>("bli_arch_string")(arch) << ", "
        << library.find<int64_t (*)()>("bli_thread_get_num_threads")() << " threads";
  return {library.find<Sgemm>("cblas_sgemm"), library.find<Sgemv>("cblas_sgemv"), about.str()};
}

/** 64-byte aligned floats. */
class Matrix {
 public:
  Matrix(int64_t rows, int64_t columns)
      : size_(rows * columns), data_(static_cast<float*>(::operator new(bytes(), std::align_val_t{64}))) {}
  ~Matrix() { ::operator delete(data_, std::align_val_t{64}); }
  Matrix(const Matrix&) = delete;
  Matrix& operator=(const Matrix&) = delete;

  float* data() const { return data_; }
  int64_t size() const { return size_; }
  size_t bytes() const { return static_cast<size_t>(size_) * sizeof(float); }

 private:
  int64_t size_;
  float* data_;
};

/** The same numbers as fillUniform in bench/measuring/seeded-numbers.ts. */
void fill_uniform(const Matrix& matrix, uint32_t seed) {
  uint32_t state = seed;
  for (int64_t i = 0; i < matrix.size(); i++) {
    state += 0x9e3779b9u;
    uint32_t bits = (state ^ (state >> 16)) * 0x21f0aaadu;
    bits = (bits ^ (bits >> 15)) * 0x735a2d97u;
    bits ^= bits >> 15;
    // The last shift keeps the sign.
    matrix.data()[i] = static_cast<float>(static_cast<int32_t>(bits) >> 8) / 8388608.0f;
  }
}

class Product {
 public:
  Product(const Blas& blas, int m, int n, int k) : blas_(blas), m_(m), n_(n), k_(k), a_(m, k), b_(k, n), c_(m, n) {
    fill_uniform(a_, 1);
    fill_uniform(b_, 2);
    if (m_ == 1 || n_ == 1) choose_vector();
  }

  const char* how() const { return as_vector_ ? "sgemv" : "sgemm"; }

  void run() const {
    if (!as_vector_) {
      blas_.sgemm(kRowMajor, kNoTranspose, kNoTranspose, m_, n_, k_, 1.0f, a_.data(), k_, b_.data(), n_, 0.0f, c_.data(),
                  n_);
    } else if (m_ == 1) {
      blas_.sgemv(kRowMajor, kTranspose, k_, n_, 1.0f, b_.data(), n_, a_.data(), 1, 0.0f, c_.data(), 1);
    } else {
      blas_.sgemv(kRowMajor, kNoTranspose, m_, k_, 1.0f, a_.data(), k_, b_.data(), 1, 0.0f, c_.data(), 1);
    }
  }

  /** Milliseconds of one run. */
  double time() const {
    const auto started = std::chrono::steady_clock::now();
    run();
    const std::chrono::duration<double, std::milli> elapsed = std::chrono::steady_clock::now() - started;
    return elapsed.count();
  }

  const Matrix& result() const { return c_; }

 private:
  /** Chooses sgemm or sgemv for a product with a vector, whichever is faster. */
  void choose_vector() {
    double best[2] = {1e9, 1e9};
    for (int repeat = 0; repeat < 5; repeat++) {
      for (const bool as_vector : {false, true}) {
        as_vector_ = as_vector;
        best[as_vector] = std::min(best[as_vector], time());
      }
    }
    as_vector_ = best[1] < best[0];
  }

  const Blas& blas_;
  int m_;
  int n_;
  int k_;
  bool as_vector_ = false;
  Matrix a_;
  Matrix b_;
  Matrix c_;
};

/** The same loop as timeTurn in src/timing/turn.ts. */
std::vector<double> time_turn(const Product& product, double turn_ms, int warmups, int rest_ms) {
  constexpr size_t kMostCalls = 5000;
  for (int i = 0; i < warmups; i++) product.run();
  std::vector<double> samples;
  double total = 0;
  while (samples.empty() || (total < turn_ms && samples.size() < kMostCalls)) {
    if (rest_ms > 0) std::this_thread::sleep_for(std::chrono::milliseconds(rest_ms));
    samples.push_back(product.time());
    total += samples.back() + rest_ms;
  }
  return samples;
}

class Probe {
 public:
  Probe(std::string name, int threads) : name_(std::move(name)), threads_(threads) {}

  std::string execute(const std::string& line) {
    std::istringstream words(line);
    std::string command;
    words >> command;
    if (command == "open") {
      blas_ = name_ == "openblas" ? open_openblas(threads_) : open_blis(threads_);
      return "ok " + blas_.about;
    }
    if (command == "prepare") return prepare(words);
    if (command == "turn") return turn(words);
    if (command == "result") return write_result(line.substr(line.find(' ') + 1));
    if (command == "release") {
      product_.reset();
      return "ok";
    }
    throw std::runtime_error("there is no command " + command);
  }

 private:
  std::string prepare(std::istringstream& words) {
    std::map<std::string, std::string> work;
    for (std::string word; words >> word;) work[word.substr(0, word.find('='))] = word.substr(word.find('=') + 1);
    if (work["op"] != "matmul") return "unsupported";
    product_ = std::make_unique<Product>(blas_, std::stoi(work["m"]), std::stoi(work["n"]), std::stoi(work["k"]));
    return std::string("ok ") + product_->how();
  }

  std::string turn(std::istringstream& words) {
    double turn_ms = 0;
    int warmups = 0;
    int rest_ms = 0;
    words >> turn_ms >> warmups >> rest_ms;
    std::ostringstream answer;
    answer << "ok";
    for (const double ms : time_turn(*product_, turn_ms, warmups, rest_ms)) answer << ' ' << ms;
    return answer.str();
  }

  std::string write_result(const std::string& path) {
    std::FILE* file = std::fopen(path.c_str(), "wb");
    if (file == nullptr) throw std::runtime_error("cannot write " + path);
    const Matrix& result = product_->result();
    const size_t written = std::fwrite(result.data(), 1, result.bytes(), file);
    if (std::fclose(file) != 0 || written != result.bytes()) throw std::runtime_error("cannot write " + path);
    return "ok";
  }

  std::string name_;
  int threads_;
  Blas blas_{};
  std::unique_ptr<Product> product_;
};

}  // namespace

int main(int argc, char** argv) {
  if (argc != 3) {
    std::cerr << "usage: blas-probe openblas|blis THREADS\n";
    return 2;
  }
  Probe probe(argv[1], std::atoi(argv[2]));
  for (std::string line; std::getline(std::cin, line);) {
    std::string answer;
    try {
      answer = probe.execute(line);
    } catch (const std::exception& error) {
      answer = std::string("error ") + error.what();
    }
    std::cout << '@' << answer << std::endl;
  }
  return 0;
}
