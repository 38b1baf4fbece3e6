public import HTTPTypes

/// A request that could not be served: what the client is told, in the OpenAI error shape.
///
/// The message names what was wrong, where and what to do; it never holds prompt text or keys.
public struct DisaggError: Error, Sendable, Hashable, CustomStringConvertible {
    /// What kind of failure it is; fixes the status code and the OpenAI `type`.
    public struct Code: Sendable, Hashable {
        /// HTTP status, 400...599.
        public let statusCode: Int
        /// The OpenAI error `type`, spelled as vLLM spells it.
        public let type: String

        /// The request is malformed.
        public static let badRequest = Code(statusCode: 400, type: "BadRequestError")
        /// The request names no token, or a wrong one.
        public static let unauthorized = Code(statusCode: 401, type: "AuthenticationError")
        /// The request is not allowed whoever sends it.
        public static let forbidden = Code(statusCode: 403, type: "PermissionDeniedError")
        /// There is no such path.
        public static let notFound = Code(statusCode: 404, type: "NotFoundError")
        /// The path exists, the method does not.
        public static let methodNotAllowed = Code(statusCode: 405, type: "MethodNotAllowedError")
        /// The client took too long to send its request.
        public static let requestTimeout = Code(statusCode: 408, type: "RequestTimeoutError")
        /// The request contradicts the present state.
        public static let conflict = Code(statusCode: 409, type: "ConflictError")
        /// The body is larger than the limit.
        public static let payloadTooLarge = Code(statusCode: 413, type: "PayloadTooLargeError")
        /// Too many requests are under way.
        public static let tooManyRequests = Code(statusCode: 429, type: "TooManyRequestsError")
        /// The head is larger than the limit.
        public static let headersTooLarge = Code(statusCode: 431, type: "RequestHeaderFieldsTooLargeError")
        /// A backend failed.
        public static let badGateway = Code(statusCode: 502, type: "BadGatewayError")
        /// No backend can take the request.
        public static let unavailable = Code(statusCode: 503, type: "ServiceUnavailableError")
        /// A backend did not answer in time.
        public static let gatewayTimeout = Code(statusCode: 504, type: "GatewayTimeoutError")
    }

    /// What kind of failure it is.
    public var code: Code
    /// What happened and what to do.
    public var message: String
    /// The request field at fault, where there is one.
    public var parameter: String?

    /// Creates an error.
    public init(_ code: Code, _ message: String, parameter: String? = nil) {
        self.code = code
        self.message = message
        self.parameter = parameter
    }

    /// The HTTP status the client gets.
    public var status: HTTPResponse.Status { HTTPResponse.Status(code: code.statusCode) }

    /// Status, type and message in one line.
    public var description: String { "\(code.statusCode) \(code.type): \(message)" }
}
