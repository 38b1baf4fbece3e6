/// Ids of hand-offs, and the notifications that carry them back.
extension CountedCase {
    static var identifiers: [CountedCase] {
        [
            CountedCase("id.new") {
                let generator = Held(SystemRandomNumberGenerator())
                return { keep(RequestID(loop: 1, using: &generator.value)) }
            },
            CountedCase("id.loop") {
                var generator = SystemRandomNumberGenerator()
                let wire = RequestID(loop: 1, using: &generator).description
                return { keep(RequestID.loop(of: wire)) }
            },
            CountedCase("id.notification") {
                var generator = SystemRandomNumberGenerator()
                let message = ProxyNotif(requestID: RequestID(loop: 1, using: &generator).description).encoded
                return { keep(ProxyNotif.decode(message)) }
            },
        ]
    }
}
