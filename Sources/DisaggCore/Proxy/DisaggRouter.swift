public import HTTPTypes
public import Logging
public import NIOCore
public import ServiceLifecycle
internal import Tracing

/// Prefill/decode routing for a server of your own: give it a request, get the answer's head and a body to stream.
///
/// Add it to your `ServiceGroup`: ``run()`` keeps deadlines and the notification socket of the LMCache hand-off. At
/// graceful shutdown it lets requests under way end.
public final class DisaggRouter: Service, Sendable {
    private let core: ProxyCore

    /// The deployment it routes for.
    public let deployment: Deployment

    /// Creates a router.
    ///
    /// - Parameters:
    ///   - deployment: the backends and the hand-off; `proxy.listen` is not used.
    ///   - prefillPolicy: chooses prefill backends in place of the deployment's policy.
    ///   - decodePolicy: chooses decode backends in place of the deployment's policy.
    ///   - logger: where the router logs.
    public init(
        deployment: Deployment, prefillPolicy: (any LoadBalancingPolicy)? = nil,
        decodePolicy: (any LoadBalancingPolicy)? = nil, logger: Logger = Logger(label: "disagg")
    ) throws {
        self.deployment = deployment
        let policies = PolicySet(deployment.routing).replacing(prefill: prefillPolicy, decode: decodePolicy)
        core = try ProxyCore(deployment: deployment, policies: policies, logger: logger)
    }

    /// Keeps deadlines and notifications until graceful shutdown; then lets requests under way end.
    ///
    /// - Throws: an error that names the address where the notification socket cannot be bound.
    public func run() async throws {
        do {
            _ = try await core.start()
            await withDiscardingTaskGroup { group in
                group.addTask { await self.core.runControlPlane() }
                try? await gracefulShutdown()
                group.cancelAll()
            }
            await core.drain()
        } catch {
            await core.shutDown()
            throw error
        }
        await core.shutDown()
    }

    /// Serves one request. Cancelling the task abandons it by its protocol's rule: an LMCache prefill still ends and its
    /// KV is still freed.
    ///
    /// - Parameters:
    ///   - request: method, path and fields; `:authority` is not used.
    ///   - body: the whole request body.
    /// - Returns: the answer; errors of engines and of this router are answers too, in the OpenAI shape.
    /// - Throws: ``DisaggError`` where there is no answer at all.
    public func respond(to request: HTTPRequest, body: ByteBuffer) async throws(DisaggError) -> DisaggResponse {
        guard body.readableBytes <= deployment.proxy.maximumBodyBytes else {
            throw DisaggError(
                .payloadTooLarge, "the request's body is larger than \(deployment.proxy.maximumBodyBytes) bytes")
        }
        var headers = HeaderBlock()
        for field in request.headerFields { headers.add(name: field.name.rawName, value: field.value) }
        var traced = ClientRequest(
            method: request.method, target: request.path ?? "/", headers: headers,
            body: body)
        if core.shared.tracer != nil { traced.trace = ServiceContext.current }
        let converted = traced
        let index = Int.random(in: 0..<core.loops.count)
        let loop = core.loops[index]
        let eventLoop = core.reactors[index]
        do {
            let promise = eventLoop.makePromise(of: DisaggResponse.self)
            let link = try await eventLoop.submit { DisaggResponse.Body.Link(head: promise, eventLoop: eventLoop) }
                .get()
            return try await withTaskCancellationHandler {
                eventLoop.execute {
                    guard !link.isCancelled else { return }
                    link.bind(loop.value.serve(converted, to: AsyncSink(head: promise, link: link)))
                }
                return try await promise.futureResult.get()
            } onCancel: {
                link.cancel()
            }
        } catch let error as DisaggError {
            throw error
        } catch {
            throw DisaggError(.unavailable, "the request was not served: \(error)")
        }
    }
}
