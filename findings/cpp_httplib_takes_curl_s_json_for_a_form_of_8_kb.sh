#!/usr/bin/env bash
# cpp-httplib refuses JSON bodies of more than 8192 bytes that `curl -d` sends.
#
# Versions: Debian's libcpp-httplib-dev and libcpp-httplib0.11 0.11.4+ds-1+deb12u1 (Debian 12), x86-64.
# What happens: `curl -d BODY` says Content-Type: application/x-www-form-urlencoded, whatever BODY is, and examples of
# REST APIs rely on servers that do not look. An ordinary POST handler of this library is never called for such a body of
# more than 8192 bytes: the answer is 413, though set_payload_max_length allows more, for that limit is one of forms,
# fixed when the library was compiled. With Content-Type: application/json the same body arrives. A handler that takes a
# ContentReader gets both.
# Seen:
#   form 8192: 200 8192
#   form 8193: 413
#   json 8193: 200 8193
#   reader, form 8193: 200 8193
set -euo pipefail
folder=$(mktemp -d)
trap 'kill "${server:-}" 2>/dev/null || true; rm -rf "$folder"' EXIT
cd "$folder"
version=0.11.4+ds-1+deb12u1
apt-get download -qq "libcpp-httplib-dev=$version" "libcpp-httplib0.11=$version"
for package in *.deb; do dpkg -x "$package" root; done
libraries=$(dirname "$(find root -name 'libcpp-httplib.so.*' | head -1)")

cat >main.cc <<'CODE'
#include <httplib.h>

#include <cstdio>

int main() {
  httplib::Server server;
  server.set_payload_max_length(1 << 20);
  server.Post("/plain", [](const httplib::Request& request, httplib::Response& response) {
    response.set_content(std::to_string(request.body.size()), "text/plain");
  });
  server.Post("/reader", [](const httplib::Request&, httplib::Response& response,
                            const httplib::ContentReader& reader) {
    std::size_t size = 0;
    reader([&](const char*, std::size_t more) {
      size += more;
      return true;
    });
    response.set_content(std::to_string(size), "text/plain");
  });
  std::printf("%d\n", server.bind_to_any_port("127.0.0.1"));
  std::fflush(stdout);
  server.listen_after_bind();
}
CODE
g++ -std=c++17 -Iroot/usr/include -DCPPHTTPLIB_OPENSSL_SUPPORT -DCPPHTTPLIB_ZLIB_SUPPORT -DCPPHTTPLIB_BROTLI_SUPPORT \
  main.cc -o main "$libraries"/libcpp-httplib.so.0.11* -lssl -lcrypto -lz -pthread 2>build.txt || { cat build.txt; exit 1; }
LD_LIBRARY_PATH=$libraries ./main >port.txt &
server=$!
until [ -s port.txt ]; do sleep 0.1; done
url=http://127.0.0.1:$(cat port.txt)

answer() { # label, path, size, options
  head -c "$3" /dev/zero | tr '\0' 7 >body.txt
  local status
  status=$(curl -sS -o answer.txt -w '%{http_code}' --data-binary @body.txt "${@:4}" "$url/$2")
  echo "$1 $3: $status$([ "$status" = 200 ] && echo " $(cat answer.txt)")"
}
seen=$(
  answer form plain 8192
  answer form plain 8193
  answer json plain 8193 -H 'Content-Type: application/json'
  answer 'reader, form' reader 8193
)
echo "$seen"
[ "$seen" = "form 8192: 200 8192
form 8193: 413
json 8193: 200 8193
reader, form 8193: 200 8193" ]
