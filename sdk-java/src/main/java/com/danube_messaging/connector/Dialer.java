package com.danube_messaging.connector;

import io.grpc.ManagedChannel;
import io.grpc.Metadata;

/** The sidecar, seen from a connector. */
final class Dialer {
    private static final Metadata.Key<String> AUTHORIZATION =
        Metadata.Key.of("authorization", Metadata.ASCII_STRING_MARSHALLER);

    private final Address address;
    private final String token;

    Dialer(ConnectorOptions options) {
        address = options.address();
        token = options.token();
    }

    Address address() {
        return address;
    }

    /** A channel for one session. It dials when it is used; keepalive is the server's business. */
    ManagedChannel channel() {
        return address.channel()
            // What grpc-java sends for a Unix socket is none that HTTP/2 libraries accept.
            .overrideAuthority("localhost")
            // The sidecar is near: a proxy of the machine is not for it.
            .proxyDetector(target -> null)
            .disableRetry()
            .directExecutor()
            .build();
    }

    Metadata headers() {
        Metadata headers = new Metadata();
        if (token != null) {
            headers.put(AUTHORIZATION, "Bearer " + token);
        }
        return headers;
    }
}
