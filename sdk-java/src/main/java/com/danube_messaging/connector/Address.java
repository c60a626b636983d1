package com.danube_messaging.connector;

import io.grpc.Grpc;
import io.grpc.InsecureChannelCredentials;
import io.grpc.ManagedChannelBuilder;
import java.net.URI;
import java.net.URISyntaxException;
import java.util.logging.Logger;

/** Where the sidecar is. */
final class Address {
    /** Complains of an option of grpc's own at each dial of a Unix socket. Held, for the JVM may forget the filter else. */
    private static final Logger NETTY =
        Logger.getLogger("io.grpc.netty.shaded.io.netty.bootstrap.Bootstrap");

    private final String text;
    /** Null for a TCP address. */
    private final String path;
    private final String host;
    private final int port;

    private Address(String text, String path, String host, int port) {
        this.text = text;
        this.path = path;
        this.host = host;
        this.port = port;
    }

    /** Reads {@code http://HOST:PORT}, {@code unix:///PATH} or {@code unix:/PATH}. */
    static Address parse(String text) {
        return text.startsWith("unix:") ? unix(text) : tcp(text);
    }

    private static Address unix(String text) {
        String path = text.substring("unix:".length());
        if (path.startsWith("//")) {
            path = path.substring(2);
        }
        if (!path.startsWith("/") || path.startsWith("//") || path.length() == 1) {
            throw malformed(text);
        }
        return new Address("unix://" + path, path, null, 0);
    }

    private static Address tcp(String text) {
        URI uri;
        try {
            uri = new URI(text);
        } catch (URISyntaxException e) {
            throw malformed(text);
        }
        boolean bare = (uri.getPath() == null || uri.getPath().isEmpty() || uri.getPath().equals("/"))
            && uri.getQuery() == null && uri.getFragment() == null && uri.getUserInfo() == null;
        boolean complete = "http".equals(uri.getScheme()) && uri.getHost() != null && uri.getPort() > 0 && uri.getPort() < 65536;
        if (!bare || !complete) {
            throw malformed(text);
        }
        return new Address("http://" + uri.getHost() + ":" + uri.getPort(), null, uri.getHost(), uri.getPort());
    }

    private static IllegalArgumentException malformed(String text) {
        return new IllegalArgumentException(
            "the sidecar's address is \"" + text + "\": expected http://HOST:PORT or unix:///PATH");
    }

    ManagedChannelBuilder<?> channel() {
        var credentials = InsecureChannelCredentials.create();
        if (path == null) {
            return Grpc.newChannelBuilderForAddress(host, port, credentials);
        }
        if (NETTY.getFilter() == null) {
            NETTY.setFilter(entry -> !entry.getMessage().startsWith("Unknown channel option"));
        }
        return Grpc.newChannelBuilder("unix://" + escaped(path), credentials);
    }

    private static String escaped(String path) {
        try {
            return new URI(null, null, path, null).getRawPath();
        } catch (URISyntaxException e) {
            throw new IllegalStateException("any absolute path is a URI's path", e);
        }
    }

    @Override
    public String toString() {
        return text;
    }
}
