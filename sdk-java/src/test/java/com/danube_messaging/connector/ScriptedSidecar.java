package com.danube_messaging.connector;

import com.danube_messaging.connector.v1.SinkServiceGrpc;
import com.danube_messaging.connector.v1.SinkServiceRunRequest;
import com.danube_messaging.connector.v1.SinkServiceRunResponse;
import com.danube_messaging.connector.v1.SourceServiceGrpc;
import com.danube_messaging.connector.v1.SourceServiceRunRequest;
import com.danube_messaging.connector.v1.SourceServiceRunResponse;
import io.grpc.Metadata;
import io.grpc.Server;
import io.grpc.ServerCall;
import io.grpc.ServerCallHandler;
import io.grpc.ServerInterceptor;
import io.grpc.netty.shaded.io.grpc.netty.NettyServerBuilder;
import io.grpc.netty.shaded.io.netty.channel.EventLoopGroup;
import io.grpc.netty.shaded.io.netty.channel.epoll.EpollEventLoopGroup;
import io.grpc.netty.shaded.io.netty.channel.epoll.EpollServerDomainSocketChannel;
import io.grpc.netty.shaded.io.netty.channel.unix.DomainSocketAddress;
import io.grpc.stub.StreamObserver;
import java.io.IOException;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.nio.file.Path;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.LinkedBlockingQueue;

/** A sidecar that does what a test says: each session is a {@link Script}. */
final class ScriptedSidecar implements AutoCloseable {
    private final BlockingQueue<SinkScript> sinks = new LinkedBlockingQueue<>();
    private final BlockingQueue<SourceScript> sources = new LinkedBlockingQueue<>();
    private final BlockingQueue<String> calls = new LinkedBlockingQueue<>();
    private final Server server;
    private final String address;
    private final EventLoopGroup group;

    private ScriptedSidecar(NettyServerBuilder builder, String address, EventLoopGroup group) throws IOException {
        this.group = group;
        server = builder.addService(new Sinks()).addService(new Sources()).intercept(new Listening()).build().start();
        this.address = address == null ? "http://127.0.0.1:" + server.getPort() : address;
    }

    static ScriptedSidecar onTcp() throws IOException {
        var loopback = new InetSocketAddress(InetAddress.getLoopbackAddress(), 0);
        return new ScriptedSidecar(NettyServerBuilder.forAddress(loopback), null, null);
    }

    static ScriptedSidecar onUnix(Path path) throws IOException {
        EventLoopGroup group = new EpollEventLoopGroup(1);
        NettyServerBuilder builder = NettyServerBuilder.forAddress(new DomainSocketAddress(path.toFile()))
            .channelType(EpollServerDomainSocketChannel.class)
            .bossEventLoopGroup(group)
            .workerEventLoopGroup(group);
        return new ScriptedSidecar(builder, "unix://" + path, group);
    }

    String address() {
        return address;
    }

    /** The next session of a sink, as soon as there is one. */
    SinkScript sink() throws InterruptedException {
        return Eventually.next(sinks, "a sink's session");
    }

    /** The next session of a source, as soon as there is one. */
    SourceScript source() throws InterruptedException {
        return Eventually.next(sources, "a source's session");
    }

    /** Authority and authorization of the next call. */
    String call() throws InterruptedException {
        return Eventually.next(calls, "a call");
    }

    @Override
    public void close() {
        server.shutdownNow();
        if (group != null) {
            group.shutdownGracefully();
        }
    }

    private final class Sinks extends SinkServiceGrpc.SinkServiceImplBase {
        @Override
        public StreamObserver<SinkServiceRunRequest> run(StreamObserver<SinkServiceRunResponse> down) {
            SinkScript script = new SinkScript(down);
            sinks.add(script);
            return script.observer();
        }
    }

    private final class Sources extends SourceServiceGrpc.SourceServiceImplBase {
        @Override
        public StreamObserver<SourceServiceRunRequest> run(StreamObserver<SourceServiceRunResponse> down) {
            SourceScript script = new SourceScript(down);
            sources.add(script);
            return script.observer();
        }
    }

    private final class Listening implements ServerInterceptor {
        private static final Metadata.Key<String> TOKEN =
            Metadata.Key.of("authorization", Metadata.ASCII_STRING_MARSHALLER);

        @Override
        public <Q, R> ServerCall.Listener<Q> interceptCall(
                ServerCall<Q, R> call, Metadata headers, ServerCallHandler<Q, R> next) {
            calls.add(call.getAuthority() + " " + headers.get(TOKEN));
            return next.startCall(call, headers);
        }
    }
}
