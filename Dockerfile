# SPDX-License-Identifier: Apache-2.0
#
# lossd in a container: docker build -t lossd . && docker run -p 127.0.0.1:8080:8080 lossd

FROM debian:12-slim AS build
RUN apt-get update \
    && apt-get install -y --no-install-recommends \
        gcc libc6-dev cmake ninja-build pkg-config \
        libmicrohttpd-dev libjansson-dev libpcre2-dev libsqlite3-dev libhiredis-dev nettle-dev libgnutls28-dev zlib1g-dev libzstd-dev \
    && rm -rf /var/lib/apt/lists/*
WORKDIR /source
COPY . .
RUN cmake --preset release -DBUILD_TESTING=OFF \
    && cmake --build --preset release --target lossd \
    && strip build/release/lossd

FROM debian:12-slim
RUN apt-get update \
    && apt-get install -y --no-install-recommends \
        libmicrohttpd12 libjansson4 libpcre2-8-0 libsqlite3-0 libhiredis0.14 libnettle8 libgnutls30 zlib1g libzstd1 libgomp1 \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --system --uid 10001 --no-create-home --home-dir /var/lib/lossd --shell /usr/sbin/nologin lossd \
    && install -d -o lossd -g lossd -m 0750 /var/lib/lossd
COPY --from=build /source/build/release/lossd /usr/local/bin/lossd
COPY LICENSE /usr/share/doc/lossd/LICENSE

USER lossd
VOLUME /var/lib/lossd
EXPOSE 8080
ENV LOSSD_LISTEN=0.0.0.0:8080 \
    LOSSD_STORE=sqlite:/var/lib/lossd/registry.db
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=5s --start-period=5s --retries=3 CMD ["lossd", "health"]
ENTRYPOINT ["lossd"]
CMD ["serve"]
