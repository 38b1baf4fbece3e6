public import NIOCore

extension DisaggError {
    /// The error as the OpenAI API writes it: `{"error":{"message":…,"type":…,"param":…,"code":…}}`.
    public var openAIBody: ByteBuffer {
        let param = parameter.map { JSONString.encode($0) } ?? "null"
        return ByteBuffer(
            string: #"{"error":{"message":\#(JSONString.encode(message)),"type":"\#(code.type)","#
                + #""param":\#(param),"code":\#(code.statusCode)}}"#)
    }
}
