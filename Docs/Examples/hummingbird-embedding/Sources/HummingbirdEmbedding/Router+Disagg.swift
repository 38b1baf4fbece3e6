import DisaggCore
import HTTPTypes
import Hummingbird
import NIOCore

extension RouterMethods {
    /// Serves the OpenAI API of a deployment under its usual paths.
    ///
    /// Every method goes to the router, which answers a wrong one itself: clients get errors in the OpenAI shape.
    func addDisaggRoutes(_ disagg: DisaggRouter) {
        let paths: [RouterPath] = ["/v1/**", "/tokenize", "/detokenize", "/version", "/health", "/ready", "/metrics"]
        for path in paths {
            for method in [HTTPRequest.Method.get, .head, .post, .put, .patch, .delete] {
                on(path, method: method) { request, _ in try await disagg.respond(to: request) }
            }
        }
    }
}

extension DisaggRouter {
    /// Answers one Hummingbird request.
    func respond(to request: Request) async throws -> Response {
        do {
            guard request.method == .post else {
                return Response(try await respond(to: request.head, body: ByteBuffer()))
            }
            // A prompt takes seconds to compute. Hummingbird tells that the client has left meanwhile only if asked to;
            // the cancelled task then makes the router abandon the request by its hand-off's rules.
            let answer = try await request.body.consumeWithCancellationOnInboundClose { body in
                let buffer = try await body.collect(upTo: deployment.proxy.maximumBodyBytes)
                return try await respond(to: request.head, body: buffer)
            }
            var response = Response(answer)
            // Hummingbird closes the connection after it has been watched; a client must not send on it again.
            response.headers[.connection] = "close"
            return response
        } catch let error as DisaggError {
            return Response(error)
        } catch is NIOTooManyBytesError {
            let limit = deployment.proxy.maximumBodyBytes
            return Response(DisaggError(.payloadTooLarge, "the request's body is larger than \(limit) bytes"))
        }
    }
}

extension Response {
    /// An answer, its body streamed as it comes: a slow client slows the engine down, one that leaves cancels it.
    init(_ answer: DisaggResponse) {
        self.init(
            status: answer.head.status, headers: answer.head.headerFields,
            body: ResponseBody(asyncSequence: answer.body))
    }

    /// An error where there is no answer, as the OpenAI API writes it.
    init(_ error: DisaggError) {
        self.init(
            status: error.status, headers: [.contentType: "application/json"],
            body: ResponseBody(byteBuffer: error.openAIBody))
    }
}
