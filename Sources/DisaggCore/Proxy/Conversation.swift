internal import NIOCore

/// What names a request's conversation, and what its prompt begins with.
struct Conversation {
    let key: ConversationTurns.Key
    /// The messages or the prompt as JSON text, without what closes it: the next turn's begins the same way.
    let prompt: ByteBuffer
    let fingerprint: ConversationTurns.Fingerprint

    /// Finds the conversation: the field `x-session-id`, else the member `conversation_id`.
    init?(_ request: GenerationRequest, _ headers: HeaderBlock) {
        let named = headers.first("x-session-id") ?? request.members.json("conversation_id")?.string
        guard let named, (1...256).contains(named.utf8.count) else { return nil }
        key = ConversationTurns.Key(conversation: named, authorization: headers.first("authorization") ?? "")
        guard
            var text = request.members.raw(request.endpoint == .chatCompletions ? "messages" : "prompt"),
            text.readableBytes > 2
        else { return nil }
        // A list ends with its bracket, a text with its quote; white space before the bracket is not kept by all clients.
        text.moveWriterIndex(to: text.writerIndex - 1)
        while let last = text.readableBytesView.last, last <= 0x20 { text.moveWriterIndex(to: text.writerIndex - 1) }
        prompt = text
        guard let fingerprint = ConversationTurns.Fingerprint(text, bytes: text.readableBytes) else { return nil }
        self.fingerprint = fingerprint
    }
}
