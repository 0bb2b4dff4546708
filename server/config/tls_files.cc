#include "server/config/tls_files.h"

#include <fmt/format.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>

#include <cerrno>
#include <cstring>
#include <fstream>
#include <memory>
#include <sstream>
#include <string_view>

#include "base/error.h"

namespace baton {
namespace {

template <auto kFree>
struct Freed {
  template <class T>
  void operator()(T* object) const {
    kFree(object);
  }
};
using Bio = std::unique_ptr<BIO, Freed<BIO_free_all>>;
using Certificate = std::unique_ptr<X509, Freed<X509_free>>;
using Key = std::unique_ptr<EVP_PKEY, Freed<EVP_PKEY_free>>;
using Context = std::unique_ptr<SSL_CTX, Freed<SSL_CTX_free>>;

absl::StatusOr<std::string> ReadPem(std::string_view option, const std::string& path) {
  errno = 0;
  std::ifstream file(path, std::ios::binary);
  std::ostringstream text;
  if (file && file.peek() != std::ifstream::traits_type::eof()) text << file.rdbuf();
  if (!file) {  // opening failed, or the first read: an empty file ends there too
    return InvalidArgument(fmt::format("{}: cannot read {}: {}", option, path,
                                       errno == 0 ? "it is empty" : std::strerror(errno)));
  }
  return text.str();
}

Bio Open(const std::string& pem) { return Bio(BIO_new_mem_buf(pem.data(), static_cast<int>(pem.size()))); }

// What OpenSSL says of its last failure; forgets it.
std::string LastFailure() {
  const unsigned long code = ERR_peek_last_error();
  const char* const words = ERR_reason_error_string(code);
  ERR_clear_error();
  return words == nullptr ? fmt::format("OpenSSL error {}", code) : words;
}

// A key with a passphrase: nobody is there to be asked for it.
int NoPassphrase(char* /*buffer*/, int /*size*/, int /*writing*/, void* /*unused*/) { return -1; }

// The first one; the others of the chain must be readable too.
absl::StatusOr<Certificate> ReadCertificates(std::string_view option, const std::string& path,
                                             const std::string& pem) {
  const Bio bio = Open(pem);
  Certificate first(PEM_read_bio_X509(bio.get(), nullptr, NoPassphrase, nullptr));
  if (first == nullptr) {
    const std::string why = LastFailure();
    return InvalidArgument(fmt::format("{}: {} holds no certificate in PEM form ({}){}", option, path, why,
                                       pem.find("PRIVATE KEY-----") == std::string::npos
                                           ? ""
                                           : "; it holds a private key, which belongs to tls_key"));
  }
  while (Certificate(PEM_read_bio_X509(bio.get(), nullptr, NoPassphrase, nullptr)) != nullptr) continue;
  const bool at_end = ERR_GET_REASON(ERR_peek_last_error()) == PEM_R_NO_START_LINE;
  const std::string why = LastFailure();
  if (!at_end)
    return InvalidArgument(fmt::format("{}: {} holds a damaged certificate ({})", option, path, why));
  return first;
}

absl::StatusOr<Key> ReadKey(const std::string& path, const std::string& pem) {
  Key key(PEM_read_bio_PrivateKey(Open(pem).get(), nullptr, NoPassphrase, nullptr));
  if (key != nullptr) return key;
  const std::string why = LastFailure();
  return InvalidArgument(
      fmt::format("tls_key: {} holds no private key in PEM form without a passphrase ({}){}", path, why,
                  pem.find("-----BEGIN CERTIFICATE") == std::string::npos
                      ? ""
                      : "; it holds a certificate, which belongs to tls_cert"));
}

}  // namespace

absl::StatusOr<TlsFiles> ReadTlsFiles(const TlsPaths& paths) {
  auto cert = ReadPem("tls_cert", paths.cert);
  if (!cert.ok()) return cert.status();
  auto key = ReadPem("tls_key", paths.key);
  if (!key.ok()) return key.status();
  TlsFiles files{.cert = *std::move(cert), .key = *std::move(key), .ca = {}};
  if (!paths.ca.empty()) {
    auto ca = ReadPem("tls_ca", paths.ca);
    if (!ca.ok()) return ca.status();
    files.ca = *std::move(ca);
    if (const auto roots = ReadCertificates("tls_ca", paths.ca, files.ca); !roots.ok()) return roots.status();
  }
  const auto certificate = ReadCertificates("tls_cert", paths.cert, files.cert);
  if (!certificate.ok()) return certificate.status();
  const auto private_key = ReadKey(paths.key, files.key);
  if (!private_key.ok()) return private_key.status();
  if (X509_check_private_key(certificate->get(), private_key->get()) != 1) {
    ERR_clear_error();
    return InvalidArgument(fmt::format("tls_key: {} is not the key of tls_cert {}", paths.key, paths.cert));
  }
  // As gRPC will use them: a certificate may still be too weak for the machine's rules.
  const Context context(SSL_CTX_new(TLS_server_method()));
  if (context == nullptr || SSL_CTX_use_certificate(context.get(), certificate->get()) != 1 ||
      SSL_CTX_use_PrivateKey(context.get(), private_key->get()) != 1) {
    return InvalidArgument(fmt::format("tls_cert: {} cannot be used: {}", paths.cert, LastFailure()));
  }
  return files;
}

}  // namespace baton
