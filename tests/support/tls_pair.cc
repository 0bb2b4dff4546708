#include "tests/support/tls_pair.h"

#include <openssl/bio.h>
#include <openssl/ec.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <openssl/x509.h>

#include "base/check.h"

namespace baton {
namespace {

std::string TextOf(BIO* bio) {
  char* bytes = nullptr;
  const long size = BIO_get_mem_data(bio, &bytes);
  std::string text(bytes, static_cast<size_t>(size));
  BIO_free_all(bio);
  return text;
}

TlsPair Sign(EVP_PKEY* key) {
  BATON_CHECK(key != nullptr);
  X509* const cert = X509_new();
  X509_set_version(cert, 2);
  ASN1_INTEGER_set(X509_get_serialNumber(cert), 1);
  X509_gmtime_adj(X509_getm_notBefore(cert), -3'600);
  X509_gmtime_adj(X509_getm_notAfter(cert), 3'600);
  X509_NAME* const name = X509_get_subject_name(cert);
  X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC, reinterpret_cast<const unsigned char*>("localhost"),
                             -1, -1, 0);
  X509_set_issuer_name(cert, name);
  X509_set_pubkey(cert, key);
  BATON_CHECK(X509_sign(cert, key, EVP_sha256()) > 0);

  TlsPair pair;
  BIO* bio = BIO_new(BIO_s_mem());
  BATON_CHECK_EQ(PEM_write_bio_X509(bio, cert), 1);
  pair.cert = TextOf(bio);
  bio = BIO_new(BIO_s_mem());
  BATON_CHECK_EQ(PEM_write_bio_PrivateKey(bio, key, nullptr, nullptr, 0, nullptr, nullptr), 1);
  pair.key = TextOf(bio);
  X509_free(cert);
  EVP_PKEY_free(key);
  return pair;
}

}  // namespace

TlsPair MakeTlsPair() { return Sign(EVP_EC_gen("P-256")); }

TlsPair MakeWeakTlsPair() { return Sign(EVP_RSA_gen(512)); }

}  // namespace baton
