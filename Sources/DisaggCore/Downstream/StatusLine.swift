/// Status codes as a status line writes them.
package enum StatusLine {
    /// Code and reason phrase with the line's end, for example `200 OK\r\n`.
    package static func text(_ status: Int) -> String {
        switch status {
        case 200: "200 OK\r\n"
        case 201: "201 Created\r\n"
        case 202: "202 Accepted\r\n"
        case 400: "400 Bad Request\r\n"
        case 401: "401 Unauthorized\r\n"
        case 403: "403 Forbidden\r\n"
        case 404: "404 Not Found\r\n"
        case 405: "405 Method Not Allowed\r\n"
        case 408: "408 Request Timeout\r\n"
        case 409: "409 Conflict\r\n"
        case 413: "413 Content Too Large\r\n"
        case 422: "422 Unprocessable Content\r\n"
        case 429: "429 Too Many Requests\r\n"
        case 431: "431 Request Header Fields Too Large\r\n"
        case 500: "500 Internal Server Error\r\n"
        case 501: "501 Not Implemented\r\n"
        case 502: "502 Bad Gateway\r\n"
        case 503: "503 Service Unavailable\r\n"
        case 504: "504 Gateway Timeout\r\n"
        default: "\(status) Status\r\n"
        }
    }
}
